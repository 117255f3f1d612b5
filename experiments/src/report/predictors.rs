//! The page about accuracy predictors.

use super::figure::figure;
use super::format::{correlation, percent, thousands};
use super::html::page;
use super::plot::{self, Mark, Series};
use super::tables::table;
use crate::tables::predictor_curve::FitRow;
use maud::{Markup, html};

/// Renders mean fits (one per predictor and number of rows) as a page. `measured` describes the table, `noise` is the
/// standard deviation of one measured accuracy, and `command` reproduces the page.
pub fn predictors_html(means: &[FitRow], seeds: usize, measured: &str, noise: f64, command: &str) -> String {
    let errors = curves(means, |fit| 100.0 * fit.rmse);
    let rankings = curves(means, |fit| fit.kendall_tau);
    let body = html! {
        header {
            h1 { "Accuracy predictors" }
            p.subtitle { (measured) " · means over " (seeds) " splits" }
        }
        p.summary {
            "With this number of images, one measured accuracy has a standard deviation of " b { (percent(noise)) } "; \
             errors are against such measurements, on subnets that the predictor was not fitted on."
        }
        div.row.whole {
            (figure("Error", plot::series("rows fitted on", "RMSE of top-1, percentage points", &errors, Mark::Line), &[],
                "Root mean squared error on held-out rows."))
            (figure("Ranking", plot::series("rows fitted on", "Kendall τ", &rankings, Mark::Line), &[],
                "Kendall's tau of predicted and measured accuracies on held-out rows."))
        }
        h2 { "Fits" }
        (rows(means))
        p.note {
            "Spread: mean standard deviation across the networks of an ensemble. If it were the whole error, 95 % of \
             the rows would lie within two spreads."
        }
        h2 { "Reproduce" }
        p { code { (command) } }
    };
    page("Accuracy predictors", &body)
}

fn curves(means: &[FitRow], value: fn(&FitRow) -> f64) -> Vec<Series> {
    let mut curves: Vec<Series> = Vec::new();
    for fit in means {
        let point = (fit.training_rows as f64, value(fit));
        match curves.iter_mut().find(|curve| curve.name == fit.predictor) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Series { name: fit.predictor.clone(), points: vec![point] }),
        }
    }
    curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    curves
}

fn rows(means: &[FitRow]) -> Markup {
    let headings = ["Predictor", "Rows", "RMSE", "Kendall τ", "Spearman ρ", "Spread", "Within 2 spreads", "Seconds"];
    let optional = |value: Option<f64>| value.map_or("–".into(), percent);
    let row = |fit: &FitRow| {
        let cells = [
            fit.predictor.clone(),
            thousands(fit.training_rows as u64),
            percent(fit.rmse),
            correlation(fit.kendall_tau),
            correlation(fit.spearman),
            optional(fit.spread),
            optional(fit.within_2_spreads),
            format!("{:.2}", fit.seconds),
        ];
        cells.into_iter().map(|cell| html! { (cell) }).collect()
    };
    table(&headings, 1, means.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_predictor_and_a_row_a_fit() {
        let fit = |predictor: &str, training_rows, rmse| FitRow {
            predictor: predictor.into(),
            training_rows,
            held_out: 40,
            seed: 1,
            rmse,
            kendall_tau: 0.5,
            spearman: f64::NAN,
            spread: Some(0.001),
            within_2_spreads: Some(0.5),
            seconds: 0.1,
        };
        let fits = [fit("mlp", 100, 0.004), fit("kernel_ridge", 100, 0.005), fit("mlp", 50, 0.006)];
        let lines = curves(&fits, |fit| 100.0 * fit.rmse);
        assert_eq!((lines.len(), lines[0].name.as_str()), (2, "mlp"));
        let page = predictors_html(&fits, 3, "160 rows", 0.006, "ofa tables fit");
        assert!(page.contains("0.60 %") && page.contains("50.00 %") && page.contains("n/a") && page.contains("0.10 %"));
        assert_eq!(page.matches("<tr>").count(), 1 + 3);
    }
}
