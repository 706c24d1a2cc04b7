//! deploy/ and docs/metrics.md, held to the program: metrics that alerts and charts name exist with those labels,
//! variables are ones that are read, and base images come from where they may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use brevet::config::env;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What the sources count and measure: name and type.
fn measured() -> BTreeMap<String, &'static str> {
    let mut found = BTreeMap::new();
    for path in files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for kind in ["counter", "gauge", "histogram"] {
            for (at, call) in text.match_indices(&format!("{kind}!(")) {
                let name =
                    text[at + call.len()..].trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
                let name = name.unwrap_or_else(|| panic!("{}: a {kind} without a literal name", path.display()));
                let other = found.insert(name.to_owned(), kind);
                assert!(other.is_none_or(|other| other == kind), "{name} is of two types");
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The rows of docs/metrics.md: name, type, labels.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `brevet_"));
    rows.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let labels = cells[3].split_whitespace().map(|label| label.trim_matches('`').to_owned()).collect();
        (cells[1].trim_matches('`').to_owned(), (cells[2].to_owned(), labels))
    })
    .collect()
}

#[test]
fn docs_metrics_lists_what_the_program_measures() {
    let told: BTreeMap<_, _> = documented().into_iter().map(|(name, (kind, _))| (name, kind)).collect();
    let measured: BTreeMap<_, _> = measured().into_iter().map(|(name, kind)| (name, kind.to_owned())).collect();
    assert_eq!(told, measured, "docs/metrics.md (left) and src/ (right)");
}

/// An identifier at the start of `text`.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The metrics that a PromQL expression asks for, after its names and labels were found to exist.
fn asked(expression: &str, known: &BTreeMap<String, (String, BTreeSet<String>)>) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    let mut labels: BTreeSet<_> = ["instance".to_owned(), "job".to_owned()].into();
    for (at, _) in expression.match_indices("brevet_") {
        let before = expression[..at].chars().next_back();
        // Not within a name or a text, as in {job="brevet_…"}.
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || "_\"*-".contains(c)) {
            continue;
        }
        let name = word(&expression[at..]);
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let base = histogram.filter(|base| known.get(*base).is_some_and(|(kind, _)| kind == "histogram"));
        let base = base.unwrap_or(name);
        let (kind, own) = known.get(base).unwrap_or_else(|| panic!("/metrics has no {name}: {expression}"));
        assert_eq!(kind == "histogram", base != name, "{name} is a {kind}: {expression}");
        labels.extend(own.iter().cloned());
        if kind == "histogram" {
            labels.insert("le".to_owned());
        }
        asked.insert(base.to_owned());
        let Some(matchers) = expression[at + name.len()..].strip_prefix('{') else { continue };
        // No text in our matchers holds a brace or a comma.
        for matcher in matchers[..matchers.find('}').expect("a closing brace")].split(',') {
            let label = word(matcher.trim());
            assert!(own.contains(label) || label == "instance", "{name} has no label {label}: {expression}");
        }
    }
    for (at, by) in expression.match_indices("by (") {
        let list = &expression[at + by.len()..];
        for label in list[..list.find(')').expect("a closing bracket")].split(',').map(str::trim) {
            assert!(labels.contains(label), "nothing in it has the label {label}: {expression}");
        }
    }
    asked
}

/// The expressions of a rules file, blocks (`expr: |`) included, without a parser of YAML.
fn rules() -> Vec<String> {
    let text = read("deploy/prometheus/rules.yaml");
    let mut found: Vec<String> = Vec::new();
    let mut block = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("        expr: ") {
            block = rest == "|";
            found.push(if block { String::new() } else { rest.to_owned() });
        } else if block && line.starts_with("          ") {
            found.last_mut().unwrap().push_str(line);
        } else {
            block = false;
        }
    }
    found
}

#[test]
fn every_alert_asks_for_metrics_that_there_are() {
    let known = documented();
    let rules = rules();
    assert_eq!(rules.len(), read("deploy/prometheus/rules.yaml").matches("- alert: ").count());
    for expression in &rules {
        let asked = asked(expression, &known);
        assert!(!asked.is_empty() || expression.starts_with("up{"), "{expression}");
    }
}

/// Whether promtool is content is for `scripts/check-deploy`; that no rule is left out is for this.
#[test]
fn every_alert_is_played_through_and_once_rings() {
    let (rules, played) = (read("deploy/prometheus/rules.yaml"), read("deploy/prometheus/rules.test.yaml"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        let after = |(at, name): (usize, &str)| played[at + name.len()..].trim_start().starts_with("exp_alerts: [{");
        assert!(played.match_indices(&format!("alertname: {alert}\n")).any(after), "{alert} never rings");
    }
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let known = documented();
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/brevet.json")).unwrap();
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels of one id");
        for target in panel["targets"].as_array().into_iter().flatten() {
            shown.extend(asked(target["expr"].as_str().unwrap(), &known));
        }
    }
    let all: BTreeSet<_> = known.into_keys().collect();
    assert_eq!(shown, all, "shown (left) and measured (right)");
}

/// The words of `text` that look like variables of ours.
fn variables(text: &str) -> BTreeSet<&str> {
    let apart = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    text.split(apart).filter(|word| word.starts_with("BREVET_") || word.starts_with("DATABASE_")).collect()
}

#[test]
fn deploy_sets_variables_that_are_read() {
    let known: BTreeSet<_> = env::ALL.iter().map(|variable| variable.name).collect();
    let mut seen = 0;
    for path in files(&root().join("deploy")) {
        let text = fs::read_to_string(&path).unwrap();
        for variable in variables(&text) {
            assert!(known.contains(variable), "{}: nothing reads {variable}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Whether an image name leads to Docker Hub's official images: neither a host nor a user before the name.
fn official(image: &str) -> bool {
    let name = image.split([':', '@']).next().unwrap();
    !name.contains('/') && !name.contains('.')
}

#[test]
fn images_are_official_ones_and_the_compiler_is_the_toolchains() {
    let dockerfile = read("deploy/Dockerfile");
    let from: Vec<_> = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")).collect();
    assert!(from.len() == 2 && from[1] == "scratch", "{from:?}");
    let toolchain = read("rust-toolchain.toml");
    let version = toolchain.split("channel = \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(from[0].starts_with(&format!("rust:{version}-")), "{} for Rust {version}", from[0]);
    assert!(official(from[0]));
    let mut images = 0;
    for path in files(&root().join("deploy")) {
        let text = fs::read_to_string(&path).unwrap();
        for image in text.lines().filter_map(|line| line.trim().strip_prefix("image: ")) {
            assert!(official(image), "{}: {image}", path.display());
            images += 1;
        }
    }
    assert!(images >= 4, "{images}");
    assert!(!official("ghcr.io/x/y:1") && !official("someone/postgres") && official("postgres:17"));
}

/// The admin API has no way in from outside: no ingress names its service, and one label alone opens its port.
#[test]
fn no_manifest_publishes_the_admin_or_ops_listener() {
    let ingress = read("deploy/kubernetes/example/ingress.yaml");
    assert!(
        !ingress.contains("admin")
            || ingress.lines().filter(|line| line.contains("admin")).all(|line| line.starts_with('#'))
    );
    for service in ["name: brevet-issuer-admin", "name: brevet-issuer-ops", "name: brevet-worker-ops"] {
        assert!(!ingress.contains(service), "{service}");
    }
    let policies = read("deploy/kubernetes/base/network-policies.yaml");
    let doors: Vec<_> = policies.split("    - from:").skip(1).filter(|door| door.contains("port: admin")).collect();
    assert_eq!(doors.len(), 1, "{policies}");
    assert!(doors[0].contains("brevet.dev/admin") && !doors[0].contains("namespaceSelector"), "{}", doors[0]);
    // compose publishes on the host's loopback alone.
    let compose = read("deploy/compose.yaml");
    for line in compose.lines().filter(|line| line.trim().starts_with("ports:")) {
        let ports = line.split('"').skip(1).step_by(2);
        assert!(ports.clone().all(|port| port.starts_with("127.0.0.1:")), "{line}");
    }
}
