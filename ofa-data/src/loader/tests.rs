//! Tests of `loader`.

use super::*;
use crate::broken::BrokenImages;
use crate::set::ReadConfig;
use crate::set::samples::{file_set, tiny_set};
use crate::view::augment::{AugmentConfig, Geometry};
use crate::view::mixup::Mixup;
use burn::tensor::DType;
use proptest::prelude::*;

fn config(view: View) -> LoaderConfig {
    LoaderConfig { batch_size: 4, seed: 1, view, drop_last: false, prefetch: 2 }
}

fn train() -> LoaderConfig {
    config(View::Train(AugmentConfig::small_images()))
}

/// Maps pixel value v to v / 255.
fn plain() -> Normalisation {
    Normalisation::new(&[0.0], &[1.0])
}

fn loader(config: LoaderConfig) -> Loader {
    Loader::new(tiny_set(10, 5), config, plain()).unwrap()
}

type Content = (Vec<f32>, Vec<i64>, [usize; 4]);

fn content(batch: ImageBatch) -> Content {
    let shape = batch.images.dims();
    let values = batch.images.into_data().try_cast(DType::F32).unwrap();
    let labels = batch.labels.into_data().try_cast(DType::I64).unwrap();
    (values.as_slice().unwrap().to_vec(), labels.as_slice().unwrap().to_vec(), shape)
}

/// The content of all batches from `start` on, at 3 px in even and 6 px in odd batches.
fn epoch(loader: &Loader, epoch: u64, start: usize) -> Vec<Content> {
    let batches = loader.epoch(epoch, start, |batch| 3 + 3 * (batch % 2), &Device::flex());
    batches.map(|batch| content(batch.unwrap())).collect()
}

#[test]
fn evaluation_shows_every_image_unchanged_in_order() {
    let batches = loader(config(View::Evaluate)).epoch(3, 0, |_| 4, &Device::flex());
    assert_eq!(batches.size_hint(), (0, Some(3)));
    let contents: Vec<Content> = batches.map(|batch| content(batch.unwrap())).collect();
    assert_eq!(contents.iter().map(|batch| batch.2[0]).collect::<Vec<_>>(), [4, 4, 2]);
    let values: Vec<f32> = contents.iter().flat_map(|batch| batch.0.clone()).collect();
    assert_eq!(values, (0..160).map(|value| value as f32 / 255.0).collect::<Vec<_>>());
    let labels: Vec<i64> = contents.iter().flat_map(|batch| batch.1.clone()).collect();
    assert_eq!(labels, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    let at_once = evaluation_batches(&tiny_set(10, 5), 4, 4, &plain(), &Device::flex()).unwrap();
    assert_eq!(at_once.map(|batch| content(batch.unwrap())).collect::<Vec<_>>(), contents);
}

#[test]
fn training_shows_every_image_once_an_epoch_in_another_order() {
    let loader = loader(train());
    let labels = |number| -> Vec<i64> { epoch(&loader, number, 0).into_iter().flat_map(|batch| batch.1).collect() };
    let (one, two) = (labels(1), labels(2));
    assert_ne!(one, two);
    for mut labels in [one, two] {
        labels.sort_unstable();
        assert_eq!(labels, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    }
}

#[test]
fn resolution_is_an_argument_of_the_batch() {
    let shapes: Vec<_> = epoch(&loader(train()), 1, 0).into_iter().map(|batch| batch.2).collect();
    assert_eq!(shapes, [[4, 1, 3, 3], [4, 1, 6, 6], [2, 1, 3, 3]]);
    let alone = loader(train()).batch(1, 1, 6, &Device::flex()).unwrap();
    assert_eq!(content(alone), epoch(&loader(train()), 1, 0)[1]);
}

#[test]
fn drop_last_leaves_the_smaller_batch_out() {
    let dropping = loader(LoaderConfig { drop_last: true, ..train() });
    assert_eq!((dropping.batches_per_epoch(), loader(train()).batches_per_epoch()), (2, 3));
    assert_eq!(epoch(&dropping, 1, 0), epoch(&loader(train()), 1, 0)[..2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn batches_depend_on_seed_epoch_and_index_alone(seed: u64, number: u64, start in 0usize..=3, threads in 1usize..=2) {
        let config = LoaderConfig { seed, ..train() };
        let whole = epoch(&loader(config.clone()), number, 0);
        prop_assert_eq!(whole.len(), 3);
        let rest = loader(config.clone()).with_threads(threads).unwrap();
        prop_assert_eq!(&epoch(&rest, number, start), &whole[start..]);
        let other = loader(LoaderConfig { seed: !seed, ..config });
        prop_assert_ne!(epoch(&other, number, 0), whole);
    }
}

#[test]
fn an_unreadable_image_ends_the_epoch_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let set = file_set(dir.path(), &[("gone.jpg", b"")], 1);
    std::fs::remove_file(dir.path().join("gone.jpg")).unwrap();
    let loader = Loader::new(set.clone(), config(View::Evaluate), plain()).unwrap();
    let mut batches = loader.epoch(0, 0, |_| 8, &Device::flex());
    let error = batches.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("gone.jpg: cannot be read: "), "{error}");
    assert!(batches.next().is_none());
    assert!(evaluation_batches(&set, 8, 4, &plain(), &Device::flex()).unwrap().any(|batch| batch.is_err()));
}

#[test]
fn a_panic_while_preparing_is_an_error() {
    let resolution = |batch| if batch == 1 { panic!("no resolution for batch 1") } else { 4 };
    let batches: Vec<_> = loader(train()).epoch(0, 0, resolution, &Device::flex()).collect();
    assert_eq!(batches.len(), 2);
    let error = batches[1].as_ref().unwrap_err();
    assert_eq!(error.to_string(), "the batch loader panicked: no resolution for batch 1");
}

#[test]
fn ranks_together_show_what_one_loader_shows() {
    for (drop_last, batches) in [(true, [1, 1]), (false, [2, 1])] {
        let config = |batch_size| LoaderConfig { batch_size, drop_last, ..train() };
        let at_4_px = |loader: &Loader| -> Vec<Content> {
            loader.epoch(5, 0, |_| 4, &Device::flex()).map(|batch| content(batch.unwrap())).collect()
        };
        let whole = at_4_px(&loader(config(8)));
        let ranks = [0, 1].map(|rank| loader(config(4)).with_shard(rank, 2).unwrap());
        assert_eq!([0, 1].map(|rank| ranks[rank].batches_per_epoch()), batches);
        let parts = [0, 1].map(|rank| at_4_px(&ranks[rank]));
        let first = [parts[0][0].0.clone(), parts[1][0].0.clone()].concat();
        assert_eq!(first, whole[0].0);
        assert_eq!([parts[0][0].1.clone(), parts[1][0].1.clone()].concat(), whole[0].1);
        assert_eq!(parts[0].get(1).map(|batch| &batch.0), whole.get(1).map(|batch| &batch.0));
    }
    let refusal =
        |rank, ranks| loader(LoaderConfig { drop_last: true, ..train() }).with_shard(rank, ranks).unwrap_err();
    assert_eq!(refusal(2, 2).to_string(), "rank is 2, expected below the number of ranks, 2");
    assert!(refusal(0, 3).to_string().contains("at least 12 to fill a batch per rank"));
}

#[test]
fn skipped_images_make_a_batch_smaller() {
    let dir = tempfile::tempdir().unwrap();
    let photo = include_bytes!("../../fixtures/photo.png").as_slice();
    let set = file_set(dir.path(), &[("a", photo), ("b", b"?"), ("c", photo), ("d", b""), ("e", b"")], 3);
    let reading = |max_fraction| ReadConfig { broken: BrokenImages::Skip { max_fraction }, ..ReadConfig::default() };
    let sizes = |batch_size, max_fraction| -> Vec<Result<usize, String>> {
        let set = set.clone().with_reading(reading(max_fraction)).unwrap();
        let normalisation = Normalisation::new(&[0.0; 3], &[1.0; 3]);
        let loader = Loader::new(set, LoaderConfig { batch_size, ..config(View::Evaluate) }, normalisation).unwrap();
        let size = |batch: Result<ImageBatch, DataError>| batch.map(|batch| batch.size()).map_err(|e| e.to_string());
        loader.epoch(0, 0, |_| 8, &Device::flex()).map(size).collect()
    };
    assert_eq!(sizes(5, 0.6), [Ok(2)]);
    assert_eq!(sizes(3, 0.6), [Ok(2)]);
    let training = LoaderConfig { batch_size: 1, ..config(View::Train(AugmentConfig::photographs())) };
    let normalisation = Normalisation::new(&[0.0; 3], &[1.0; 3]);
    let skipping = set.clone().with_reading(reading(0.9)).unwrap();
    let loader = Loader::new(skipping, training, normalisation).unwrap();
    let errors: Vec<_> = loader.epoch(0, 0, |_| 8, &Device::flex()).filter_map(Result::err).collect();
    assert!(errors[0].to_string().starts_with("all 1 images of batch "), "{errors:?}");
    assert!(sizes(5, 0.4)[0].as_ref().unwrap_err().starts_with("3 of 5 images are broken"));
}

#[test]
fn mixup_blends_a_batch_by_one_weight() {
    let augment = AugmentConfig {
        geometry: Geometry::Shift { pixels: 0 },
        horizontal_flip: false,
        ..AugmentConfig::small_images()
    };
    let mixed = AugmentConfig { mixup: Some(Mixup { alpha: 1.0 }), ..augment.clone() };
    let first =
        |augment| loader(config(View::Train(augment))).epoch(2, 1, |_| 4, &Device::flex()).next().unwrap().unwrap();
    let (plain, mixed) = (first(augment), first(mixed));
    assert_eq!(plain.mixup, None);
    let share = mixed.mixup.unwrap();
    assert!((0.0..1.0).contains(&share));
    let expected = plain.images.clone() * share + plain.images.flip([0]) * (1.0 - share);
    mixed.images.into_data().assert_approx_eq::<f32>(&expected.into_data(), burn::tensor::Tolerance::absolute(1e-6));
    mixed.labels.into_data().assert_eq(&plain.labels.into_data(), true);
}

#[test]
fn batches_of_epochs_in_turns_are_those_of_each_epoch() {
    let loader = loader(train());
    let device = &Device::flex();
    let labels = |batch: ImageBatch| batch.labels.into_data().iter::<i64>().collect::<Vec<_>>();
    let pixels = |batch: &ImageBatch| batch.images.clone().into_data().iter::<f32>().collect::<Vec<_>>();
    let epochs: Vec<Vec<ImageBatch>> =
        (0..2).map(|epoch| loader.epoch(epoch, 0, |_| 4, device).map(Result::unwrap).collect()).collect();
    for (batch, (first, second)) in epochs[0].iter().zip(&epochs[1]).enumerate() {
        for (epoch, expected) in [(0, first), (1, second), (1, second), (0, first)] {
            let made = loader.batch(epoch, batch, 4, device).unwrap();
            assert_eq!(pixels(&made), pixels(expected), "batch {batch} of epoch {epoch}");
            assert_eq!(labels(made), labels(expected.clone()));
        }
    }
    assert!(epochs[0].iter().zip(&epochs[1]).any(|(a, b)| pixels(a) != pixels(b)));
}

#[test]
fn an_epoch_may_be_left_early() {
    let loader = Loader::new(tiny_set(4000, 5), train(), plain()).unwrap();
    let mut batches = loader.epoch(0, 0, |_| 4, &Device::flex());
    assert!(batches.next().unwrap().is_ok());
    let plan = Arc::downgrade(&loader.plan);
    drop((batches, loader));
    assert!(plan.upgrade().is_none(), "the thread still holds the plan");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refuse = |count, config| Loader::new(tiny_set(count, 2), config, plain()).unwrap_err().to_string();
    assert_eq!(refuse(9, LoaderConfig { batch_size: 0, ..train() }), "batch_size is 0, expected at least 1");
    assert_eq!(refuse(9, LoaderConfig { prefetch: 0, ..train() }), "prefetch is 0, expected at least 1");
    assert_eq!(refuse(0, train()), "number of images is 0, expected at least 1 to fill a batch");
    let dropping = LoaderConfig { drop_last: true, ..train() };
    assert_eq!(refuse(3, dropping), "number of images is 3, expected at least 4 to fill a batch");
    assert!(loader(train()).with_threads(0).is_err());
}

#[test]
fn batches_that_were_sent_ahead_are_the_same() {
    let device = &Device::flex();
    let contents = |loader: Loader, ahead: bool| {
        let mut batches = loader.epoch(3, 0, |batch| [3, 6][batch % 2], device);
        let mut found = Vec::new();
        while let Some(batch) = batches.next() {
            found.push(content(batch.unwrap()));
            if ahead {
                // Sends nothing where the next batch is not prepared yet.
                std::thread::sleep(std::time::Duration::from_millis(20));
                let expected = 3 - found.len();
                batches.send_ahead();
                batches.send_ahead();
                assert_eq!(batches.size_hint().1, Some(expected));
            }
        }
        found
    };
    let on_device = || loader(train()).with_pixels_on_device();
    let expected = contents(on_device(), false);
    assert_eq!(expected.len(), 3);
    assert_eq!(contents(on_device(), true), expected);
    assert_eq!(contents(loader(train()), true), contents(loader(train()), false));
}
