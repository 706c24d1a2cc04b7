//! The fuzzers' corpus, replayed: every input that was ever worth keeping, through the target it was kept for.

#[path = "../../fuzz/src/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_input_of_the_corpus_passes_through_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folders: BTreeSet<_> =
        std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(folders, targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (name, target) in targets::TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            target(&std::fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 2, "{name} has {inputs} inputs");
        // What no corpus needs to hold.
        for odd in [&b""[..], b"\0", b"\xff\xfe", &vec![b'a'; 100_000]] {
            target(odd);
        }
    }
}
