//! The pages in a real browser: Chromium drives the real binary, and axe judges every page.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::clients;
use crate::support::served::Served;

/// It is a long walk on a busy machine.
const PATIENCE: Duration = Duration::from_mins(10);

#[test]
fn threat_32_people_sign_in_with_a_real_browser_and_foreign_pages_do_nothing_for_them() {
    let Some((client, chromium)) = clients::chromium("pages_chromium.mjs") else { return };
    let served = Served::start();
    served.furnish();
    let code = || served.admin(&["admin", "enrolment-codes", "create", "--user", "ann"]);
    let codes = [(); 6].map(|()| code());
    let screenshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    let mut flags = vec!["--issuer", &served.url, "--chromium", &chromium];
    flags.extend(["--screenshots", screenshots.to_str().expect("a path")]);
    flags.extend(codes.iter().flat_map(|code| ["--code", code]));
    let answer = client.args(flags).run_within(PATIENCE).json();
    assert_eq!(answer["ok"], true, "{answer:#}");

    // Every page, in light and dark, wide and narrow.
    assert_eq!(answer["findings"], json!([]), "{:#}", answer["findings"]);
    // The policy of the pages stood in the way of nothing that they are made of.
    let complaints: Vec<_> = answer["violations"].as_array().expect("a list").iter().collect();
    assert!(complaints.iter().all(|text| is_expected(text)), "{complaints:#?}");

    assert_eq!(answer["shown"]["here"]["user_uid"], "ann", "{:#}", answer["shown"]);
    assert_eq!(answer["shown"]["elsewhere"]["error"], "access_denied");
    assert_eq!(answer["keyboard"]["tokens"]["user_uid"], "ann");
    assert_eq!(
        answer["keyboard"]["cookie"],
        json!({ "name": "__Host-brevet-sign-in", "path": "/", "domain": "127.0.0.1", "httpOnly": true, "secure": true,
            "sameSite": "Lax" })
    );
    assert_eq!(answer["keyboard"]["kept"], 0);

    let (approved, denied) = (&answer["approved"], &answer["denied"]);
    assert_eq!(approved["arrived"], "Back at the terminal.");
    assert_eq!(approved["told"], json!({ "state": "a state & more", "iss": served.url }));
    let access = approved["tokens"]["access_token"].as_str().unwrap_or_else(|| panic!("{approved:#}"));
    served.succeeds(Some(access), &["token"]);
    assert_eq!(denied["told"]["error"], "access_denied", "{denied:#}");
    assert_eq!((&denied["told"]["state"], &denied["told"]["iss"]), (&json!("a state & more"), &json!(served.url)));

    let tried = answer["foreign"]["results"].as_array().expect("a list");
    assert_eq!(tried.len(), 2);
    for one in tried {
        assert_eq!((&one["framed"], &one["status"]), (&json!(0), &json!(421)), "{one}");
    }
    assert_eq!((&tried[0]["host"], &tried[0]["cookie"]), (&json!("localhost"), &Value::Bool(false)));
    assert_eq!(answer["foreign"]["after"], "authorization_pending");
}

/// What the attacks are meant to make the browser say.
fn is_expected(complaint: &Value) -> bool {
    let text = complaint.as_str().unwrap_or_default();
    text.contains("frame-ancestors") || text.contains("status of 421")
}
