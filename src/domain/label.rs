//! Texts by which people recognise a thing or a person: display names and e-mail addresses. They name
//! nothing, decide nothing and stand in no token.

/// Most characters of a display name of a team, person, agent or key.
pub const NAME_MAX: usize = 200;
/// Most characters of an e-mail address (RFC 5321, section 4.5.3.1.3, less the angle brackets).
pub const EMAIL_MAX: usize = 254;

/// A text that is no label, with the rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Empty, blank or longer than [`NAME_MAX`].
    #[error("must have 1 to 200 characters, not only spaces")]
    NameLength,
    /// A control character, or one that changes the direction of the text around it.
    #[error("must not contain control characters")]
    Control,
    /// Not `local@domain`, or longer than [`EMAIL_MAX`].
    #[error("must be an e-mail address of at most 254 characters")]
    Email,
}

/// Takes `text` for a display name, unchanged.
pub fn name(text: &str) -> Result<String, LabelError> {
    // Bidirectional overrides would let one name pass for another on a terminal (Unicode TR 36).
    let control = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.trim().is_empty() || text.chars().count() > NAME_MAX {
        return Err(LabelError::NameLength);
    }
    if text.chars().any(control) { Err(LabelError::Control) } else { Ok(text.to_owned()) }
}

/// Takes `text` for an e-mail address, unchanged. Only its shape is checked: nothing is ever sent to it.
pub fn email(text: &str) -> Result<String, LabelError> {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
    let part = |part: &str| !part.is_empty() && part.chars().all(plain);
    match text.split_once('@') {
        Some((local, domain)) if text.len() <= EMAIL_MAX && part(local) && part(domain) => Ok(text.to_owned()),
        _ => Err(LabelError::Email),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_kept_or_refused() {
        for bad in ["", "   ", &"x".repeat(201) as &str] {
            assert_eq!(name(bad), Err(LabelError::NameLength), "{bad:?}");
        }
        for bad in ["a\nb", "a\0", "\u{202e}drows"] {
            assert_eq!(name(bad), Err(LabelError::Control), "{bad:?}");
        }
        for good in ["x", " Ada Lovelace ", "Søren's équipe", &"é".repeat(200)] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", "ada", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", &format!("{}@b", "a".repeat(253))] {
            assert_eq!(email(bad), Err(LabelError::Email), "{bad:?}");
        }
        assert_eq!(email("ada@example.com").as_deref(), Ok("ada@example.com"));
    }
}
