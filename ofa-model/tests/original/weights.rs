//! Shapes, parameters and MACs.

use crate::golden::*;
use crate::sums::{distance, sums};
use ofa_model::Arch;

#[test]
fn weights_follow_from_the_formula() {
    for kind in KINDS {
        let golden = Golden::read(kind);
        for ((key, data), tensor) in golden.state_dict(kind, 1000).iter().zip(&golden.tensors) {
            let found = sums(data);
            assert!(distance(&found, &tensor.sums) <= 1e-9, "{key}: {found:?}, {:?}", tensor.sums);
        }
        let counted = golden.tensors.iter().filter(|tensor| !tensor.key.contains(".running_"));
        let parameters: usize = counted.map(|tensor| tensor.shape.iter().product::<usize>()).sum();
        assert_eq!(parameters as u64, golden.supernet_parameters);
    }
}

#[test]
fn costs_and_dictionaries_are_those_of_the_original() {
    for kind in KINDS {
        let (golden, space) = (Golden::read(kind), space(kind, 1000));
        assert_eq!(golden.subnets.len(), 12);
        for GoldenSubnet { name, arch, parameters, macs } in &golden.subnets {
            let converted = Arch::from_original(arch, &space).unwrap();
            for (&resolution, &macs) in macs {
                let cost = space.cost(&converted.at_resolution(resolution));
                assert_eq!((cost.macs, cost.parameters), (macs, *parameters), "{kind} {name} at {resolution} px");
            }
            let back = converted.to_original(&space);
            // ProxylessNAS's last stage has one block whatever its dictionary says; a ResNet's stem is either deep or
            // not.
            let free = if kind == "resnets" { 0 } else { 5 };
            let mut depths = back.d.iter().zip(&arch.d).enumerate();
            assert!(depths.all(|(s, (back, there))| back == there || s == free), "{name}");
            let live = |(there, back): (&usize, &usize)| *back == 0 || there == back;
            assert!(arch.ks.iter().zip(&back.ks).all(live), "{name}");
            assert_eq!(back.w, arch.w, "{name}");
            assert_eq!(Arch::from_original(&back, &space).unwrap(), converted, "{name}");
        }
    }
}
