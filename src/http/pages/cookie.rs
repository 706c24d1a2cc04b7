//! The one cookie: a browser's secret on its way through the pages.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::domain::browser::BrowserSecret;
use crate::domain::sign_in::SIGN_IN_LENGTH;

/// Its name. `__Host-` makes browsers refuse it without `Secure` and `Path=/`, or with a `Domain`: no subdomain and no
/// plain connection can plant one (RFC 6265bis, section 4.1.3.2).
const NAME: &str = "__Host-brevet-sign-in";

/// What a browser sent, if it looks like ours.
pub(super) fn read(headers: &HeaderMap) -> Option<BrowserSecret> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == NAME).find_map(|(_, value)| BrowserSecret::parse(value))
}

/// Gives a browser `secret`. Lax: the provider's redirect must carry it, a foreign page's form must not.
pub(super) fn give(secret: &BrowserSecret) -> Option<HeaderValue> {
    let seconds = SIGN_IN_LENGTH.whole_seconds();
    let text =
        format!("{NAME}={}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax", secret.secret().expose());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes it away.
pub(super) fn take_back() -> HeaderValue {
    HeaderValue::from_static("__Host-brevet-sign-in=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::seeded::SeededEntropy;

    #[test]
    fn threat_38_a_cookie_is_bound_to_this_host_and_read_back_whole() {
        let secret = BrowserSecret::generate(&SeededEntropy::new(3));
        let given = give(&secret).unwrap();
        assert!(given.is_sensitive());
        let text = given.to_str().unwrap();
        for word in ["__Host-brevet-sign-in=", "; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(!text.contains("Domain"));
        assert!(take_back().to_str().unwrap().starts_with(&format!("{NAME}=;")));
        let pair = text.split(';').next().unwrap();
        for sent in [pair.to_owned(), format!("a=b; {pair}; c=d"), format!("{NAME}=short; {pair}")] {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&sent).unwrap())]);
            assert_eq!(read(&headers).map(|read| read.hash()), Some(secret.hash()), "{sent}");
        }
        let other = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&pair[2..]).unwrap())]);
        assert!(read(&other).is_none());
    }
}
