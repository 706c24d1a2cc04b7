//! Names and values of a query or of a form, decoded.

/// The pairs in their order, as a browser encodes them.
pub(super) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// The value of what stands there exactly once.
pub(super) fn once<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let value = values.next();
    if values.next().is_some() { None } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_nobodys_word() {
        let pairs = pairs(b"a=1&b=%C3%BC+x&a=2&c");
        assert_eq!(
            (once(&pairs, "a"), once(&pairs, "b"), once(&pairs, "c"), once(&pairs, "d")),
            (None, Some("ü x"), Some(""), None)
        );
    }
}
