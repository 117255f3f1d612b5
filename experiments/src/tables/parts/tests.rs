use super::*;
use ofa_model::SearchSpace;
use ofa_train::{OneRank, ThreadRanks};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Mutex;

struct Fixture {
    dir: tempfile::TempDir,
    header: AccuracyHeader,
    space: SearchSpace,
    archs: Vec<Arch>,
    asked: Mutex<Vec<Arch>>,
}

impl Fixture {
    fn new() -> Self {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let archs = (0..11).map(|_| space.sample(rng)).collect();
        let header = AccuracyHeader {
            space: space.name.clone(),
            seed: 1,
            validation_images: 10,
            calibration_images: 10,
            source: "fixture".into(),
            int8: Some("fixture".into()),
        };
        Self { dir: tempfile::tempdir().unwrap(), header, space, archs, asked: Mutex::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Measures into the table `name`; interrupts before an arch if `stop`, given the number measured so far, is true.
    fn run(&self, name: &str, ranks: &dyn Ranks, stop: impl Fn(usize) -> bool) -> Result<AccuracyTable> {
        let path = self.path(name);
        let job = Job { path: &path, header: &self.header, space: &self.space, archs: &self.archs };
        let mut done = 0;
        let measure = |arch: &Arch| -> Measured {
            if stop(done) {
                return Err(Interrupted.into());
            }
            done += 1;
            self.asked.lock().unwrap().push(arch.clone());
            let top1 = self.space.cost(arch).macs as f64 / 1e9;
            Ok(Accuracies { top1, int8_top1: Some(top1 / 2.0) })
        };
        job.run(ranks, measure, |_, _, _| ())
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn ranks_write_the_table_of_one_process() {
    let fixture = Fixture::new();
    fixture.run("alone.csv", &OneRank, |_| false).unwrap();
    fixture.asked.lock().unwrap().clear();
    let tables = ThreadRanks::run(3, |rank: &ThreadRanks| fixture.run("table.csv", rank, |_| false).unwrap());
    assert!(tables.iter().all(|table| table.rows() == tables[0].rows()));
    let read = |name| std::fs::read_to_string(fixture.path(name)).unwrap();
    assert_eq!(read("table.csv"), read("alone.csv"));
    assert_eq!(fixture.asked.lock().unwrap().len(), fixture.archs.len(), "each arch is measured once");
    assert_eq!(fixture.files(), ["alone.csv", "table.csv"], "no part is left");
}

#[test]
fn an_interruption_of_one_rank_is_one_of_all_and_what_was_measured_is_kept() {
    let fixture = Fixture::new();
    let results = ThreadRanks::run(3, |rank: &ThreadRanks| {
        fixture.run("table.csv", rank, |done| rank.rank() == 2 && done == 1).map_err(|error| is_interruption(&error))
    });
    assert!(results.into_iter().all(|result| result.err() == Some(true)));
    // Ranks 0 and 1 finish their four archs; rank 2 is stopped after one of its three.
    assert_eq!(fixture.asked.lock().unwrap().len(), 9);
    assert_eq!(fixture.files().len(), 4);

    // Resume with another number of ranks.
    ThreadRanks::run(2, |rank: &ThreadRanks| fixture.run("table.csv", rank, |_| false).map(drop).unwrap());
    assert_eq!(fixture.asked.lock().unwrap().len(), fixture.archs.len(), "nothing is measured again");
    let table = AccuracyTable::load(&fixture.path("table.csv"), &fixture.space).unwrap();
    assert_eq!(table.rows().len(), fixture.archs.len());
    assert_eq!(fixture.files(), ["table.csv"]);
}

#[test]
fn a_part_of_other_weights_is_refused() {
    let mut fixture = Fixture::new();
    fixture.run("accuracy-part-1.csv", &OneRank, |done| done == 1).unwrap_err();
    fixture.header.source = "other weights".into();
    let message = fixture.run("table.csv", &OneRank, |_| false).unwrap_err().to_string();
    assert!(message.contains("accuracy-part-1.csv") && message.contains("source"), "{message}");
}
