//! The few XML that the query protocol's answers need, escaped by construction.

use std::fmt::Write as _;

/// An element under construction. Names are ours; texts are escaped.
#[derive(Debug)]
pub(super) struct Element {
    name: &'static str,
    inner: String,
}

impl Element {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, inner: String::new() }
    }

    pub(super) fn text(mut self, name: &'static str, text: impl AsRef<str>) -> Self {
        let _ = write!(self.inner, "<{name}>{}</{name}>", escape(text.as_ref()));
        self
    }

    pub(super) fn optional(self, name: &'static str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        let _ = write!(self.inner, "<{0}>{1}</{0}>", child.name, child.inner);
        self
    }

    pub(super) fn children(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    /// The whole document, with this element as its root.
    pub(super) fn document(self, namespace: &str) -> String {
        format!("<{0} xmlns=\"{namespace}\">{1}</{0}>", self.name, self.inner)
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 cannot hold other control characters at all.
            '\t' | '\n' => escaped.push(c),
            '\r' => escaped.push_str("&#13;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        let document = Element::new("A").text("B", "</B><C a=\"1\">&\u{0}").document("urn:x");
        assert_eq!(document, "<A xmlns=\"urn:x\"><B>&lt;/B&gt;&lt;C a=&quot;1&quot;&gt;&amp;\u{fffd}</B></A>");
    }
}
