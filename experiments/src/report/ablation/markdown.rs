//! The report as Markdown.

use super::section::{Section, Table, sections};
use super::summary;
use crate::ablation::Findings;
use std::fmt::{Result, Write};

/// Renders the findings as Markdown; `commands` are pairs of a description and a command.
pub(super) fn ablation_markdown(findings: &Findings, commands: &[(String, String)]) -> String {
    text(&findings.question, &summary(findings), &sections(findings, commands))
}

/// Joins a heading, summary paragraphs and sections.
pub(super) fn text(heading: &str, summary: &[String], sections: &[Section]) -> String {
    let mut text = format!("# {heading}\n\n{}\n", summary.join("\n\n"));
    let written = sections.iter().try_for_each(|section| write_section(&mut text, section));
    written.expect("writing to a string does not fail");
    text
}

fn write_section(text: &mut String, section: &Section) -> Result {
    writeln!(text, "\n## {}", section.heading)?;
    section.text.iter().try_for_each(|paragraph| write!(text, "\n{paragraph}\n"))?;
    section.table.iter().try_for_each(|table| write_table(text, table))?;
    if !section.items.is_empty() {
        text.push('\n');
    }
    section.items.iter().try_for_each(|item| writeln!(text, "- {item}"))
}

fn write_table(text: &mut String, table: &Table) -> Result {
    writeln!(text, "\n| {} |", table.headings.join(" | "))?;
    writeln!(text, "|{}", "---|".repeat(table.headings.len()))?;
    table.rows.iter().try_for_each(|row| writeln!(text, "| {} |", row.join(" | ")))
}
