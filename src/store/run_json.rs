//! What a run was opened with, as its columns hold it: our own JSON, read back strictly.

use std::collections::BTreeMap;

use super::error::StoreError;
use crate::domain::audience::Audience;
use crate::domain::session_tag::{TagKey, TagValue};

const AUDIENCES: StoreError = StoreError::Corrupt("audiences");
const LABELS: StoreError = StoreError::Corrupt("labels");

pub(super) fn write_audiences(audiences: &[Audience]) -> Result<String, StoreError> {
    let list: Vec<_> = audiences.iter().map(Audience::as_str).collect();
    serde_json::to_string(&list).map_err(|_| AUDIENCES)
}

/// An empty list is corrupt: it would leave the run without a default.
pub(super) fn read_audiences(text: &str) -> Result<Vec<Audience>, StoreError> {
    let list: Vec<String> = serde_json::from_str(text).map_err(|_| AUDIENCES)?;
    let list: Vec<_> =
        list.iter().map(|text| Audience::parse(text)).collect::<Result<_, _>>().map_err(|_| AUDIENCES)?;
    if list.is_empty() { Err(AUDIENCES) } else { Ok(list) }
}

pub(super) fn write_labels(labels: &BTreeMap<TagKey, TagValue>) -> Result<String, StoreError> {
    let map: BTreeMap<_, _> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    serde_json::to_string(&map).map_err(|_| LABELS)
}

pub(super) fn read_labels(text: &str) -> Result<BTreeMap<TagKey, TagValue>, StoreError> {
    let map: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| LABELS)?;
    let label = |(key, value): (&String, &String)| Some((TagKey::parse(key).ok()?, TagValue::parse(value).ok()?));
    map.iter().map(label).collect::<Option<_>>().ok_or(LABELS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let audiences = vec![Audience::sts(), Audience::parse("vault").unwrap()];
        assert_eq!(read_audiences(&write_audiences(&audiences).unwrap()), Ok(audiences));
        let labels = BTreeMap::from([(TagKey::parse("Project").unwrap(), TagValue::parse("a b").unwrap())]);
        let text = write_labels(&labels).unwrap();
        assert_eq!(read_labels(&text), Ok(labels));
        assert_eq!(text, r#"{"Project":"a b"}"#);
        for bad in ["", "[]", "{}", r#"["a b"]"#, "[1]"] {
            assert_eq!(read_audiences(bad), Err(AUDIENCES), "{bad}");
        }
        for bad in ["", "[]", r#"{"brevet:team":"x"}"#, r#"{"a":1}"#, r#"{"a":"x\n"}"#] {
            assert_eq!(read_labels(bad), Err(LABELS), "{bad}");
        }
    }
}
