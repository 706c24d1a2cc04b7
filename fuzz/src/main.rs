//! libFuzzer over one of the targets, named in `BREVET_FUZZ_TARGET`: `scripts/fuzz` builds and runs it.

#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("BREVET_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("BREVET_FUZZ_TARGET must name a target, not {name:?}")).1
});

fuzz_target!(|data: &[u8]| TARGET(data));
