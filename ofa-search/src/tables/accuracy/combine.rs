//! Merging, splitting and saving accuracy tables.

use super::{AccuracyFormat, AccuracyTable};
use crate::SearchError;
use crate::statistics::split;
use crate::tables::table_file;
use ofa_model::SearchSpace;
use std::path::{Path, PathBuf};

impl AccuracyTable {
    /// Merges files measured under the same conditions, e.g. by machines that share no file system. Rows keep the order
    /// of the files. Duplicate rows are kept once.
    ///
    /// # Errors
    ///
    /// Those of [`AccuracyTable::load`]; [`SearchError::HeaderMismatch`] if a file was measured under other conditions
    /// than the first (naming the condition); [`SearchError::ConflictingTables`] if two files disagree about an arch
    /// (naming both); [`SearchError::TooFewSamples`] if `paths` is empty.
    pub fn merge(paths: &[PathBuf], space: &SearchSpace) -> Result<Self, SearchError> {
        let (first, others) = paths.split_first().ok_or(SearchError::TooFewSamples {
            purpose: "merging",
            what: "tables",
            needed: 1,
            found: 0,
        })?;
        let mut merged = Self::load(first, space)?;
        // The file each row came from, for error messages.
        let mut origins = vec![first; merged.rows.len()];
        for path in others {
            let table = Self::load(path, space)?;
            table_file::check_header::<AccuracyFormat>(path, &table.header, &merged.header)?;
            for row in table.rows {
                let Some(&known) = merged.index.get(&row.arch) else {
                    merged.push(row);
                    origins.push(path);
                    continue;
                };
                let before = &merged.rows[known];
                if *before != row {
                    return Err(SearchError::ConflictingTables {
                        arch: row.arch.to_string(),
                        first: origins[known].clone(),
                        first_top1: before.top1,
                        second: path.clone(),
                        second_top1: row.top1,
                    });
                }
            }
        }
        Ok(merged)
    }

    /// Splits the table at random by `seed` into (remaining, held out), where `share` of the rows are held out.
    ///
    /// # Errors
    ///
    /// If `share` is not in `[0, 1)`, or leaves fewer than two rows on either side.
    pub fn split(&self, share: f64, seed: u64) -> Result<(Self, Self), SearchError> {
        let (rest, held_out) = split(&self.rows, share, seed)?;
        let with_rows = |rows: Vec<_>| {
            let mut table = Self::empty(self.header.clone());
            rows.into_iter().for_each(|row| table.push(row));
            table
        };
        Ok((with_rows(rest), with_rows(held_out)))
    }

    /// Writes the whole table to `path`, atomically.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), SearchError> {
        table_file::write::<AccuracyFormat>(path, &self.header, &self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccuracyHeader;
    use crate::testing::{accuracy_header, additive_accuracy, all_archs, tiny_space};
    use ofa_model::Arch;
    use std::convert::Infallible;

    struct Fixture {
        dir: tempfile::TempDir,
        space: SearchSpace,
    }

    impl Fixture {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), space: tiny_space() }
        }

        /// Measures `archs` into the file `name`.
        fn table(&self, name: &str, header: &AccuracyHeader, archs: &[Arch], more: f64) -> PathBuf {
            let path = self.dir.path().join(name);
            let measure = |arch: &Arch| Ok::<_, Infallible>(additive_accuracy(arch) + more);
            AccuracyTable::measure(&path, header, &self.space, archs, measure, |_, _, _| ()).unwrap();
            path
        }
    }

    #[test]
    fn equal_rows_of_merged_tables_are_one() {
        let fixture = Fixture::new();
        let (header, archs) = (accuracy_header(&fixture.space), all_archs(&fixture.space));
        let parts = [fixture.table("a", &header, &archs[..5], 0.0), fixture.table("b", &header, &archs[3..9], 0.0)];
        let merged = AccuracyTable::merge(&parts, &fixture.space).unwrap();
        let merged_archs: Vec<&Arch> = merged.rows().iter().map(|row| &row.arch).collect();
        assert_eq!(merged_archs, archs[..9].iter().collect::<Vec<_>>());

        let path = fixture.dir.path().join("merged");
        merged.save(&path).unwrap();
        let loaded = AccuracyTable::load(&path, &fixture.space).unwrap();
        assert_eq!((loaded.rows(), loaded.header()), (merged.rows(), merged.header()));
    }

    #[test]
    fn contradicting_tables_are_both_named() {
        let fixture = Fixture::new();
        let (header, archs) = (accuracy_header(&fixture.space), all_archs(&fixture.space));
        let [a, b] = [("a", 0.0), ("b", 0.01)].map(|(name, more)| fixture.table(name, &header, &archs[..2], more));
        let message = AccuracyTable::merge(&[a, b], &fixture.space).unwrap_err().to_string();
        let top1 = additive_accuracy(&archs[0]);
        assert!(message.contains(&format!("`{}`", archs[0])), "{message}");
        assert!(message.contains(&format!("/a ({top1})")) && message.contains("/b ("), "{message}");
    }

    #[test]
    fn tables_of_other_weights_or_spaces_do_not_merge() {
        let fixture = Fixture::new();
        let (header, archs) = (accuracy_header(&fixture.space), all_archs(&fixture.space));
        let other = AccuracyHeader { source: "weights 1 data 2".into(), ..header.clone() };
        let [a, b] =
            [("a", &header), ("b", &other)].map(|(name, header)| fixture.table(name, header, &archs[..2], 0.0));
        let message = AccuracyTable::merge(&[a.clone(), b], &fixture.space).unwrap_err().to_string();
        assert!(message.contains(r#"/b: the table's source is "weights 1 data 2", not "test""#), "{message}");
        let elsewhere = SearchSpace { name: "elsewhere".into(), ..tiny_space() };
        let message = AccuracyTable::merge(&[a], &elsewhere).unwrap_err().to_string();
        assert!(message.contains("/a: the table's space is"), "{message}");
        assert!(AccuracyTable::merge(&[], &elsewhere).is_err());
    }

    #[test]
    fn a_split_table_is_the_table() {
        let fixture = Fixture::new();
        let (header, archs) = (accuracy_header(&fixture.space), all_archs(&fixture.space));
        let path = fixture.table("a", &header, &archs[..20], 0.0);
        let table = AccuracyTable::load(&path, &fixture.space).unwrap();
        let (rest, held_out) = table.split(0.25, 7).unwrap();
        assert_eq!((rest.rows().len(), held_out.rows().len()), (15, 5));
        assert!(archs[..20].iter().all(|arch| rest.get(arch).xor(held_out.get(arch)) == table.get(arch)));
        assert_eq!(table.split(0.25, 7).unwrap().1.rows(), held_out.rows());
        assert_ne!(table.split(0.25, 8).unwrap().1.rows(), held_out.rows());
        assert!(table.split(0.01, 7).is_err());
    }
}
