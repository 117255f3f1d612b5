//! Fixed kernel transforms stay the identity while everything else is trained.

mod common;

use burn::tensor::TensorData;
use common::Bench;
use ofa_model::Supernet;

/// The matrices between kernel sizes and the depthwise kernels.
fn kernels(supernet: &Supernet) -> (Vec<TensorData>, Vec<TensorData>) {
    let named = |part: &str| {
        let all = supernet.to_original().into_iter();
        all.filter(|(name, _)| name.contains(part)).map(|(_, values)| values).collect::<Vec<_>>()
    };
    (named("_matrix"), named("depth_conv.conv.conv.weight"))
}

fn is_identity(matrix: &TensorData) -> bool {
    let side = matrix.shape()[0];
    let values: Vec<f32> = matrix.iter::<f32>().collect();
    (0..side * side).all(|i| values[i] == f32::from(u8::from(i / side == i % side)))
}

#[test]
fn fixed_transforms_stay_the_identity_and_learned_ones_do_not() {
    let mut bench = Bench::new();
    let (learned, _) = kernels(&bench.train(None, &mut ()).unwrap().supernet);
    assert!(!learned.is_empty() && !learned.iter().any(is_identity));
    for phase in &mut bench.schedule.phases {
        phase.fixed_kernel_transforms = true;
    }
    let (fixed, trained) = kernels(&bench.train(None, &mut ()).unwrap().supernet);
    assert_eq!(fixed.len(), learned.len());
    assert!(fixed.iter().all(is_identity));

    bench.schedule.phases.truncate(1);
    let (_, earlier) = kernels(&bench.train(None, &mut ()).unwrap().supernet);
    assert!(trained != earlier, "everything else is still trained");
}

#[test]
fn the_option_is_left_out_of_files_where_it_is_off() {
    let mut phase = Bench::new().schedule.phases.remove(0);
    assert!(!serde_json::to_string(&phase).unwrap().contains("fixed_kernel_transforms"));
    phase.fixed_kernel_transforms = true;
    let text = serde_json::to_string(&phase).unwrap();
    assert_eq!(serde_json::from_str::<ofa_train::Phase>(&text).unwrap(), phase);
}
