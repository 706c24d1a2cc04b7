#![no_main]
use libfuzzer_sys::fuzz_target;
fuzz_target!(|data: &[u8]| { let _ = brevet::domain::credential::OpaqueCredential::parse(&String::from_utf8_lossy(data)); });
