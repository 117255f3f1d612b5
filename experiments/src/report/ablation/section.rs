//! Content of the report, as sections shared by the HTML page and the Markdown.

use super::{THREATS, contrast_name, cost_sentence, points, top1};
use crate::ablation::{Addition, Alone, ArmFindings, Contrast, Findings, Interval};

/// A part of the report, under a heading.
pub(super) struct Section {
    pub(super) heading: String,
    /// Paragraphs before the table.
    pub(super) text: Vec<String>,
    pub(super) table: Option<Table>,
    /// Bullet points after the table.
    pub(super) items: Vec<String>,
}

/// Rows of text; the columns after the first `names` hold numbers.
pub(super) struct Table {
    pub(super) headings: Vec<&'static str>,
    pub(super) names: usize,
    pub(super) rows: Vec<Vec<String>>,
}

/// Corners of the paper's table 1 (arXiv:1908.09791v1): top-1 without and with progressive shrinking, in percent, on
/// ImageNet at 224 pixels. Its expand ratios are 4 and 6.
const PAPER: [(&str, f64, f64); 8] = [
    ("D2 W4 K3", 67.3, 68.7),
    ("D2 W4 K7", 69.8, 71.2),
    ("D2 W6 K3", 69.2, 71.0),
    ("D2 W6 K7", 71.3, 73.3),
    ("D4 W4 K3", 71.4, 73.3),
    ("D4 W4 K7", 72.7, 74.8),
    ("D4 W6 K3", 72.6, 74.8),
    ("D4 W6 K7", 73.5, 75.9),
];

/// All sections in order; `commands` are pairs of a description and a command.
pub(super) fn sections(findings: &Findings, commands: &[(String, String)]) -> Vec<Section> {
    let primary = findings.primary.as_ref();
    [
        Some(setup(findings)),
        primary.map(|primary| by_subnet(findings, primary)),
        primary.filter(|primary| !primary.bins.is_empty()).map(by_macs),
        (!findings.alone.is_empty()).then(|| alone(findings)),
        (!findings.contrasts.is_empty()).then(|| contrasts(findings)),
        Some(arms(findings)),
        rates(findings),
        freeze(&findings.tried, &findings.additions),
        Some(section("Threats to validity", &[], None, THREATS.map(str::to_owned).into())),
        Some(reproduce(commands)),
        Some(environment(findings)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(super) fn section(heading: &str, text: &[&str], table: Option<Table>, items: Vec<String>) -> Section {
    Section { heading: heading.into(), text: text.iter().map(|text| (*text).to_owned()).collect(), table, items }
}

fn setup(findings: &Findings) -> Section {
    let rows = findings.setup.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
    section("Set-up", &[], Some(Table { headings: vec!["what", "value"], names: 2, rows }), Vec::new())
}

fn by_subnet(findings: &Findings, primary: &Contrast) -> Section {
    let arm = |name: &str| findings.arms.iter().find(|arm| arm.name == name);
    let corner = |arm: Option<&ArmFindings>, name: &str| {
        arm.and_then(|arm| arm.corners.iter().find(|corner| corner.corner == name).cloned())
    };
    let (treatment, control) = (arm(&primary.treatment), arm(&primary.control));
    let is_papers = (primary.treatment.as_str(), primary.control.as_str()) == ("progressive", "none");
    let row = |gap: &crate::ablation::CornerGap| {
        let found = [treatment, control].map(|arm| corner(arm, &gap.corner));
        let alone = arm(&format!("independent_{}", gap.corner.to_lowercase().replace(' ', "")));
        let [calibrated, uncalibrated] = [false, true].map(|raw| {
            let shown = found.iter().flatten().map(|found| {
                if raw { format!("{:.2}", 100.0 * found.uncalibrated_top1.mean) } else { top1(&found.top1) }
            });
            shown.collect::<Vec<_>>()
        });
        let macs = found[0].as_ref().map_or(0, |found| found.macs);
        let mut row = vec![gap.corner.clone(), format!("{:.2}", macs as f64 / 1e6)];
        row.extend(calibrated);
        row.push(points(&gap.gap));
        row.push(corner(alone, &gap.corner).map_or_else(|| "–".into(), |found| top1(&found.top1)));
        row.push(uncalibrated.join(" / "));
        row.push(match PAPER.iter().find(|(corner, ..)| is_papers && *corner == gap.corner) {
            Some((_, none, shrunk)) => format!("{shrunk:.1} / {none:.1} ({:+.1})", shrunk - none),
            None => "–".into(),
        });
        row
    };
    let headings = vec![
        "subnet",
        "MMACs",
        "treatment",
        "control",
        "gap, points",
        "alone",
        "without calibration",
        "the paper's, ImageNet",
    ];
    let text = format!(
        "Test top-1 in percent, mean and half-width of the {} % interval over seeds: `{}` (treatment) and `{}` \
         (control), each subnet calibrated; \"alone\" is the same network trained by itself. Without calibration \
         (treatment / control), subnets use the statistics of the largest one. The paper's numbers are shown for \
         corners of the same depth, expand ratio and kernel size. All rows come from the same trainings: where they \
         agree, that is one finding and not {}.",
        100.0 * findings.confidence,
        primary.treatment,
        primary.control,
        primary.corners.len()
    );
    let rows = primary.corners.iter().map(row).collect();
    let heading = format!("{} by subnet", contrast_name(primary));
    section(&heading, &[&text], Some(Table { headings, names: 1, rows }), Vec::new())
}

fn by_macs(primary: &Contrast) -> Section {
    let row = |bin: &crate::ablation::BinGap| {
        let [least, most] = bin.macs.map(|macs| macs as f64 / 1e6);
        let [treatment, control] = bin.top1.map(|top1| format!("{:.2}", 100.0 * top1));
        vec![format!("{least:.2} to {most:.2}"), bin.subnets.to_string(), treatment, control, points(&bin.gap)]
    };
    let rows = primary.bins.iter().map(row).collect();
    let headings = vec!["MMACs", "subnets", "treatment, %", "control, %", "gap, points"];
    let text = "The same random subnets in all arms and seeds, in five bins of about equally many subnets, from few \
                MACs to many: mean test top-1 of a bin, and its gap with the interval over seeds.";
    let heading = format!("{}: random subnets by MACs", contrast_name(primary));
    section(&heading, &[text], Some(Table { headings, names: 1, rows }), Vec::new())
}

fn alone(findings: &Findings) -> Section {
    let row = |alone: &Alone| {
        let seeds: Vec<String> = alone.seeds.iter().map(u64::to_string).collect();
        vec![format!("`{}`", alone.arm), seeds.join(", "), points(&alone.gap), corner_by_corner(alone)]
    };
    let rows = findings.alone.iter().map(row).collect();
    let headings = vec!["arm", "seeds", "subnet minus alone, points", "corner by corner"];
    let text = "The loss in the article's own sense: test top-1 of a subnet minus that of the same network trained \
                alone, mean over the corners trained alone, with intervals over seeds.";
    section("Against networks trained alone", &[text], Some(Table { headings, names: 2, rows }), Vec::new())
}

/// The gap of every corner that was trained alone, in points.
pub(super) fn corner_by_corner(alone: &Alone) -> String {
    let corners = alone.corners.iter().map(|corner| format!("{} {}", corner.corner, points(&corner.gap)));
    corners.collect::<Vec<_>>().join("; ")
}

/// What was tried before the configuration was written, and what was added after the start.
pub(super) fn freeze(tried: &[String], additions: &[Addition]) -> Option<Section> {
    let before = tried.iter().map(|tried| format!("Tried before: {tried}."));
    let after = additions.iter().map(|addition| {
        let Addition { moment, revision, complete, added } = addition;
        format!("Added at {moment} (revision {revision}, {complete} cells complete): {}.", added.join(", "))
    });
    let items: Vec<String> = before.chain(after).collect();
    let text = "The rule is frozen when the ablation starts. What could have guided it, and what came later:";
    (!items.is_empty()).then(|| section("Before and after the rule was frozen", &[text], None, items))
}

fn contrasts(findings: &Findings) -> Section {
    let row = |contrast: &Contrast| {
        vec![
            contrast_name(contrast),
            contrast.seeds.len().to_string(),
            points(&contrast.gap),
            contrast.bootstrap.map_or_else(|| "n/a".to_owned(), ends),
            p_value(contrast.adjusted_p),
        ]
    };
    let rows = findings.primary.iter().chain(&findings.contrasts).map(row).collect();
    let headings = vec!["contrast", "seeds", "gap over seeds", "over seeds and images", "p (Holm)"];
    let text = "Mean difference of test top-1 over the corners that both arms report, in points. The primary contrast \
                comes first; p-values are adjusted for the number of the others. Intervals over seeds are Student's; \
                those over seeds and images are percentile bootstraps, which with five seeds cover about 84 % instead \
                of 95 % (simulated).";
    section("All contrasts", &[text], Some(Table { headings, names: 1, rows }), Vec::new())
}

fn arms(findings: &Findings) -> Section {
    let treatment = findings
        .primary
        .as_ref()
        .and_then(|primary| findings.arms.iter().find(|arm| arm.name == primary.treatment).map(|arm| arm.budget.macs));
    let row = |arm: &ArmFindings| {
        let phases: Vec<String> = arm.phases.iter().map(|(name, epochs)| format!("{name} {epochs}")).collect();
        let relative = treatment.map_or_else(|| "–".into(), |macs| format!("{:.3}", arm.budget.macs / macs));
        vec![
            arm.name.clone(),
            arm.description.clone(),
            phases.join(", "),
            arm.seeds.len().to_string(),
            arm.factor.to_string(),
            format!("{:.0}", arm.budget.subnet_epochs),
            format!("{:.2}", arm.own.macs / 1e12),
            format!("{:.2}", arm.budget.macs / 1e12),
            relative,
            format!("{:.0}", arm.seconds[0]),
            top1(&arm.mean_top1),
        ]
    };
    let headings = vec![
        "arm",
        "what it is",
        "epochs",
        "seeds",
        "rate ×",
        "subnet-epochs",
        "own TMACs",
        "TMACs",
        "of treatment's",
        "training s",
        "mean top-1, %",
    ];
    let text =
        ["A TMAC is 10^12 multiply-accumulate operations. Every sampled subnet counts three forward passes at the \
         resolution of its batch (the backward pass computes gradients of inputs and of weights); a teacher counts one \
         forward pass per step. Subnet-epochs and TMACs include the arms whose weights go into an arm; own TMACs and \
         time do not. None of them includes the selection of learning rates; the section on learning rates shows how \
         often each arm was trained for it. Mean top-1 is over the corners that an arm trains, so compare only arms \
         that train the whole space."];
    let rows = findings.arms.iter().map(row).collect();
    section("Arms and their cost", &text, Some(Table { headings, names: 3, rows }), vec![cost_sentence(findings)])
}

fn rates(findings: &Findings) -> Option<Section> {
    let chosen: Vec<_> = findings.selections.iter().filter(|(_, scores)| scores.len() > 1).collect();
    if chosen.is_empty() {
        return None;
    }
    let row = |(arm, scores): &(&String, &Vec<(f64, f64)>)| {
        let shown = scores.iter().map(|(factor, top1)| {
            let top1 = if top1.is_finite() { format!("{:.2}", 100.0 * top1) } else { "diverged".into() };
            format!("×{factor}: {top1}")
        });
        vec![(*arm).clone(), shown.collect::<Vec<_>>().join(", ")]
    };
    let table = Table {
        headings: vec!["arm", "factor: mean validation top-1, %"],
        names: 2,
        rows: chosen.iter().map(row).collect(),
    };
    let text = "Every arm is trained once with each factor on all its rates, with a seed that is not reported; the \
                factor that is best on validation images is selected. Test images are not used.";
    let edges: Vec<String> = findings.chosen_at_the_edge().map(|arm| format!("`{arm}`")).collect();
    let note = (!edges.is_empty()).then(|| {
        format!(
            "The selected factor is the lowest or highest tried, so a better one may lie beyond it, for: {}.",
            edges.join(", ")
        )
    });
    Some(section("Learning rates", &[text], Some(table), note.into_iter().collect()))
}

pub(super) fn reproduce(commands: &[(String, String)]) -> Section {
    let items = commands.iter().map(|(what, command)| format!("{what}: `{command}`")).collect();
    let text = "All you need is config.toml, the images and the code at the revisions that the cells record. With \
                them, every x86-64 processor with AVX2 and FMA computes the same bits; identity.json refuses anything \
                else.";
    section("Reproduce", &[text], None, items)
}

fn environment(findings: &Findings) -> Section {
    let machine = |machine: &crate::machine::environment::Machine| {
        format!(
            "{} ({} threads), device {}, {}, revision {}, {}",
            machine.processor, machine.threads, machine.device, machine.system, machine.revision, machine.versions
        )
    };
    section("Environment", &[], None, findings.machines.iter().map(machine).collect())
}

/// `[+0.45, +2.01]`, in points.
fn ends(interval: Interval) -> String {
    let (low, high) = interval.percent();
    format!("[{low:+.2}, {high:+.2}]")
}

pub(super) fn p_value(p: Option<f64>) -> String {
    p.map_or_else(|| "n/a".to_owned(), |p| if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") })
}
