//! The query protocol's requests: `Action=…&Version=…` and flattened parameters in a form body.

use super::error::AwsError;

/// The parameters of one request, in the order sent.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a form body. Percent-encoded bytes that are no UTF-8 become the replacement character, which no
    /// parameter's pattern admits.
    pub(super) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there, of `min..=max` characters. `field` is its name in messages: AWS writes the
    /// first letter small.
    pub(super) fn required(&self, name: &str, min: usize, max: usize) -> Result<&str, AwsError> {
        self.optional(name, min, max)?.ok_or_else(|| AwsError::missing(&field(name)))
    }

    pub(super) fn optional(&self, name: &str, min: usize, max: usize) -> Result<Option<&str>, AwsError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        check_length(value, &field(name), min, max)?;
        Ok(Some(value))
    }

    /// A whole number within `min..=max`.
    pub(super) fn number(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, AwsError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: i64 =
            text.parse().map_err(|_| AwsError::new(400, "MalformedInput", format!("{name} must be an integer")))?;
        let rule = if number < min {
            format!("Member must have value greater than or equal to {min}")
        } else if number > max {
            format!("Member must have value less than or equal to {max}")
        } else {
            return Ok(Some(number));
        };
        Err(AwsError::constraint(text, &field(name), &rule))
    }

    /// `<name>.member.1`, `.2`, … up to the first gap.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        (1..).map_while(|n| self.get(&format!("{name}.member.{n}"))).collect()
    }

    /// `<name>.member.N.Key` and `.Value`, up to the first gap.
    pub(super) fn tags(&self, name: &str) -> Vec<(String, String)> {
        (1..)
            .map_while(|n| {
                let key = self.get(&format!("{name}.member.{n}.Key"))?;
                let value = self.get(&format!("{name}.member.{n}.Value")).unwrap_or_default();
                Some((key.to_owned(), value.to_owned()))
            })
            .collect()
    }
}

/// `RoleArn` → `roleArn`.
fn field(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + letters.as_str())
}

fn check_length(value: &str, field: &str, min: usize, max: usize) -> Result<(), AwsError> {
    let length = value.chars().count();
    let rule = if length < min {
        format!("Member must have length greater than or equal to {min}")
    } else if length > max {
        format!("Member must have length less than or equal to {max}")
    } else {
        return Ok(());
    };
    // Tokens and policies are long or secret; the rule says enough.
    match field {
        "webIdentityToken" => Err(AwsError::hidden_constraint(field, &rule)),
        field => Err(AwsError::constraint(&value.chars().take(256).collect::<String>(), field, &rule)),
    }
}

/// `[\w+=,.@-]*`, the alphabet of session names and source identities (`\w` is ASCII to AWS).
pub(super) fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_at_the_first_gap_and_lengths_count_characters() {
        let query = Query::parse(b"L.member.1=a&L.member.2=b&L.member.4=d&T.member.1.Key=k&Word=%C3%A4%C3%A4");
        assert_eq!(query.list("L"), ["a", "b"]);
        assert_eq!(query.tags("T"), [("k".to_owned(), String::new())]);
        assert_eq!(query.required("Word", 2, 2).unwrap(), "ää");
        assert_eq!(
            query.required("Word", 3, 9).unwrap_err().message,
            "1 validation error detected: Value 'ää' at 'word' failed to satisfy constraint: Member must have length greater than or equal to 3"
        );
    }
}
