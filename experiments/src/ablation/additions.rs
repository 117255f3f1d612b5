//! Additions to an ablation after its start: more may be asked, but nothing already asked may change.

use super::config::AblationConfig;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Arms, budgets or contrasts added at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// Time of the addition.
    pub moment: String,
    /// Source revision that made it.
    pub revision: String,
    /// Number of cells complete at that time, which could have guided it.
    pub complete: usize,
    /// What was added, one description per item.
    pub added: Vec<String>,
}

impl AblationConfig {
    /// Describes what this configuration has beyond `earlier`.
    ///
    /// # Errors
    ///
    /// If anything in `earlier` is changed or missing; the message shows the first line that differs.
    pub(super) fn beyond(&self, earlier: &Self) -> Result<Vec<String>> {
        let (mut kept, mut added) = (self.clone(), Vec::new());
        kept.tried.truncate(earlier.tried.len());
        added.extend(self.tried[kept.tried.len()..].iter().map(|tried| format!("tried before: {tried}")));
        kept.arms.retain(|arm| earlier.arm(&arm.name).is_some());
        let new_arms = self.arms.iter().filter(|arm| earlier.arm(&arm.name).is_none());
        added.extend(new_arms.map(|arm| format!("arm `{}`", arm.name)));
        kept.rule.contrasts.retain(|contrast| earlier.rule.contrasts.contains(contrast));
        let contrasts = self.rule.contrasts.iter().filter(|contrast| !kept.rule.contrasts.contains(contrast));
        added.extend(contrasts.map(|[a, b]| format!("contrast `{a}` minus `{b}`")));
        kept.budgets.retain(|budget| earlier.budgets.iter().any(|before| before.name == budget.name));
        for budget in &mut kept.budgets {
            let before = earlier.budgets.iter().find(|before| before.name == budget.name);
            budget.epochs.retain(|arm, _| {
                let known = before.is_some_and(|before| before.epochs.contains_key(arm));
                if !known {
                    added.push(format!("arm `{arm}` at budget `{}`", budget.name));
                }
                known
            });
        }
        let new = self.budgets.iter().filter(|budget| !kept.budgets.iter().any(|known| known.name == budget.name));
        added.extend(new.map(|budget| format!("budget `{}`", budget.name)));
        if kept != *earlier {
            let [ours, theirs] = [kept.to_toml()?, earlier.to_toml()?];
            let differs = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
            let [ours, theirs] = differs.map_or(["more", "less"], |(ours, theirs)| [ours, theirs]);
            bail!(
                "the ablation was started with another configuration (`{theirs}`, now `{ours}`): a rule, an arm or a \
                 seed that changes after the first result could be chosen to fit it; start a new ablation"
            );
        }
        Ok(added)
    }
}
