//! Parity with the PyTorch original: latencies of archs by its tables. `golden/README.md` documents how the reference
//! values were made.

use ofa_model::{Arch, OriginalArch, SearchSpace};
use ofa_search::OriginalLatencyTable;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Golden {
    arch: OriginalArch,
    latency_ms: f64,
}

#[test]
fn latencies_are_those_of_the_original() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/latency");
    let text = std::fs::read_to_string(dir.join("latencies.json")).unwrap();
    let golden: BTreeMap<String, Vec<Golden>> = serde_json::from_str(&text).unwrap();
    let spaces = [
        ("mobilenet_v3", SearchSpace::mobilenet_v3(1.0, 1000), 8),
        ("proxyless_nas", SearchSpace::proxyless_nas(1.3, 1000), 24),
    ];
    for (name, space, archs) in spaces {
        let table = OriginalLatencyTable::load(&dir.join(name)).unwrap();
        let space = SearchSpace { resolutions: table.resolutions().collect(), ..space };
        let cost = table.cost(&space).unwrap();
        assert_eq!((space.resolutions.as_slice(), golden[name].len()), ([128, 224].as_slice(), archs));
        for Golden { arch, latency_ms } in &golden[name] {
            let arch = Arch::from_original(arch, &space).unwrap();
            for found in [table.latency_ms(&space, &arch).unwrap(), cost.of(&arch)] {
                assert!((found - latency_ms).abs() < 1e-9, "{name} `{arch}`: {found} ms against {latency_ms} ms");
            }
        }
    }
}
