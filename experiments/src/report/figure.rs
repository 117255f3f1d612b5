//! A figure on the page: heading, legend, plot and caption.

use super::plot::{Key, Mark, Plot};
use maud::{Markup, PreEscaped, html};

/// A figure; shows "no data" in place of a missing plot.
pub(super) fn figure(heading: &str, plot: Option<Plot>, facts: &[String], caption: &str) -> Markup {
    html! {
        figure {
            div.card {
                h3 { (heading) }
                @if !facts.is_empty() { p.facts { (facts.join(" · ")) } }
                @match &plot {
                    Some(plot) => {
                        ul.legend { @for key in &plot.legend { li { (swatch(key)) (key.text) } } }
                        div.plot role="img" aria-label={ (heading) ". " (caption) } { (PreEscaped(&plot.svg)) }
                    }
                    None => p.absent { "no data" }
                }
                figcaption { (caption) }
            }
        }
    }
}

/// The legend symbol of a series.
fn swatch(key: &Key) -> Markup {
    let (r, g, b) = (key.color.0, key.color.1, key.color.2);
    let color = format!("#{r:02x}{g:02x}{b:02x}");
    html! {
        svg.swatch width="22" height="12" viewBox="0 0 22 12" aria-hidden="true" {
            @match key.mark {
                Mark::Line => path d="M0 6H22" stroke=(color) stroke-width="2.5" {},
                Mark::Dashed => path d="M0 6H22" stroke=(color) stroke-width="2" stroke-dasharray="6 3" {},
                Mark::Point => circle cx="11" cy="6" r="5" fill=(color) {},
                Mark::Ring => circle cx="11" cy="6" r="4.5" fill="none" stroke=(color) stroke-width="2" {},
                Mark::Band => rect width="22" height="12" fill=(color) fill-opacity="0.3" {},
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot;

    #[test]
    fn a_missing_plot_says_so() {
        let page = figure("Loss", plot::loss(&[]), &[], "Loss over epochs.").into_string();
        assert!(page.contains("no data") && page.contains("Loss over epochs."), "{page}");
        assert!(!page.contains("<svg"), "{page}");
    }
}
