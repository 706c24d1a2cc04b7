//! Texts with `*` and `?`, and with policy variables put in.

/// A text to compare with: literal characters, `?` for any one, `*` for any number of any characters (`/` and `:`
/// included, as in IAM).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyOne,
    AnyMany,
}

impl Pattern {
    /// `text` with its wildcards.
    pub(super) fn wild(text: &str) -> Self {
        Self(text.chars().map(Self::token).collect())
    }

    /// `text` with its wildcards, its policy variables filled in by `variable`. What a variable brings is literal: a
    /// star in a tag's value matches a star. `None` where a variable has neither value nor default.
    ///
    /// Source: IAM User Guide, "Policy elements: Variables and tags" (`${key}`, `${key, 'default'}`, `${*}`, `${?}`, `${$}`).
    pub(super) fn with_variables(text: &str, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            tokens.extend(rest[..start].chars().map(Self::token));
            let inner = &rest[start + 2..start + length];
            let (key, default) = match inner.split_once(',') {
                Some((key, default)) => {
                    (key.trim(), default.trim().strip_prefix('\'').and_then(|d| d.strip_suffix('\'')))
                }
                None => (inner, None),
            };
            let value = match key {
                "*" | "?" | "$" => key.to_owned(),
                key => variable(key).or_else(|| default.map(str::to_owned))?,
            };
            tokens.extend(value.chars().map(Token::Literal));
            rest = &rest[start + length + 1..];
        }
        tokens.extend(rest.chars().map(Self::token));
        Some(Self(tokens))
    }

    /// Whether the whole of `text` fits.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let tokens = &self.0;
        // Greedy with one point of return: the last star takes one character more at each retry, so the work is at
        // most the product of both lengths, whatever the pattern.
        let (mut t, mut p, mut star) = (0, 0, None);
        while t < text.len() {
            match tokens.get(p) {
                Some(Token::AnyMany) => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(Token::AnyOne) => (t, p) = (t + 1, p + 1),
                Some(Token::Literal(c)) if *c == text[t] => (t, p) = (t + 1, p + 1),
                _ => match star {
                    Some((star_p, star_t)) => {
                        (t, p) = (star_t + 1, star_p + 1);
                        star = Some((star_p, star_t + 1));
                    }
                    None => return false,
                },
            }
        }
        tokens[p..].iter().all(|token| *token == Token::AnyMany)
    }

    /// The text this pattern stands for when wildcards mean nothing (`StringEquals`).
    pub(super) fn literal(&self) -> String {
        self.0
            .iter()
            .map(|token| match token {
                Token::Literal(c) => *c,
                Token::AnyOne => '?',
                Token::AnyMany => '*',
            })
            .collect()
    }

    /// Divides at `:` into at most six patterns, as an ARN's parts (`ArnLike` compares part by part).
    pub(super) fn arn_parts(&self) -> Vec<Self> {
        self.0.splitn(6, |token| *token == Token::Literal(':')).map(|part| Self(part.to_vec())).collect()
    }

    const fn token(c: char) -> Token {
        match c {
            '*' => Token::AnyMany,
            '?' => Token::AnyOne,
            c => Token::Literal(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_span_delimiters_and_the_whole_text_must_fit() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a/b:c", true),
            ("?", "", false),
            ("?", "ab", false),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("a**c", "ac", true),
            ("scoped_principal:T/*", "scoped_principal:T/user:U", true),
            ("scoped_principal:T/*", "scoped_principal:T2/user:U", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
            ("A", "a", false),
            ("ä?", "äö", true),
        ] {
            assert_eq!(Pattern::wild(pattern).matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_long_run_of_stars_stays_cheap() {
        let pattern = Pattern::wild(&"*a".repeat(200));
        assert!(!pattern.matches(&"a".repeat(199)));
        assert!(pattern.matches(&"a".repeat(400)));
    }

    #[test]
    fn what_a_variable_brings_is_literal() {
        let variable = |key: &str| (key == "aws:PrincipalTag/team").then(|| "t*".to_owned());
        let pattern = |text| Pattern::with_variables(text, variable);
        assert!(pattern("${aws:PrincipalTag/team}-*").unwrap().matches("t*-x"));
        assert!(!pattern("${aws:PrincipalTag/team}").unwrap().matches("tt"));
        assert_eq!(pattern("${aws:PrincipalTag/other}"), None);
        assert!(pattern("${aws:PrincipalTag/other, 'none'}").unwrap().matches("none"));
        assert!(pattern("${*}${?}${$}").unwrap().matches("*?$"));
        assert!(pattern("${unclosed").unwrap().matches("${unclosed"));
    }
}
