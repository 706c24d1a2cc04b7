//! A browser without a screen before a served issuer: it keeps the one cookie, and sends the forms that it was shown.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::browser::COOKIE;

/// One browser.
pub(crate) struct Surfer {
    issuer: String,
    cookie: Option<String>,
    /// The token of the last form that it was shown.
    token: String,
}

/// A page, or where it sends the browser.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The address of a page that goes on by itself.
    #[track_caller]
    pub(crate) fn goes_to(&self) -> &str {
        let refresh = self.header("refresh").unwrap_or_else(|| panic!("it goes nowhere: {self:#?}"));
        refresh.strip_prefix("0;url=").expect("at once")
    }

    /// What the page is headed.
    pub(crate) fn heading(&self) -> &str {
        self.text.split_once("<h1>").and_then(|(_, rest)| rest.split_once("</h1>")).map_or("", |(text, _)| text)
    }
}

impl Surfer {
    /// Before the issuer at `http://127.0.0.1:PORT`.
    pub(crate) fn new(issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), cookie: None, token: String::new() }
    }

    /// Opens an address, and goes on to where its answer leads, as long as that is the issuer's.
    #[track_caller]
    pub(crate) fn open(&mut self, address: &str) -> Seen {
        let seen = self.send("GET", address, None);
        self.follow(seen)
    }

    /// Sends a form to a path of the issuer, with the token of the last one, and goes on to where that leads.
    #[track_caller]
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let form = form.extend_pairs(fields).append_pair("form", &self.token).finish();
        let seen = self.send("POST", &format!("{}{path}", self.issuer), Some(&form));
        self.follow(seen)
    }

    /// Signs in with an enrolment code, on the page that asks for it, and is asked.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, code: &str) {
        let question = self.post("/sign-in", &[("code", code)]);
        assert!(question.heading().contains("act as you?"), "{question:#?}");
    }

    /// Answers the question.
    #[track_caller]
    pub(crate) fn decide(&mut self, decision: &str) -> Seen {
        self.post("/sign-in/confirm", &[("decision", decision)])
    }

    #[track_caller]
    fn follow(&mut self, mut seen: Seen) -> Seen {
        for _ in 0..8 {
            if seen.status != 303 {
                return seen;
            }
            let to = seen.header("location").expect("somewhere").to_owned();
            let to = if to.starts_with('/') { format!("{}{to}", self.issuer) } else { to };
            seen = self.send("GET", &to, None);
        }
        panic!("it never arrives: {seen:#?}")
    }

    #[track_caller]
    fn send(&mut self, method: &str, address: &str, form: Option<&str>) -> Seen {
        let rest = address.strip_prefix("http://").expect("an address on loopback");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
        // A browser keeps its cookie to the host that gave it.
        if let Some(cookie) = self.cookie.as_ref().filter(|_| address.starts_with(&self.issuer)) {
            request.extend(["cookie: ", COOKIE, "=", cookie, "\r\n"]);
        }
        let body = form.unwrap_or_default();
        if form.is_some() {
            request.extend(["origin: ", &self.issuer, "\r\ncontent-length: ", &body.len().to_string(), "\r\n"]);
            request.push_str("content-type: application/x-www-form-urlencoded\r\n");
        }
        let mut stream = TcpStream::connect(authority).expect("somebody listens");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        write!(stream, "{request}\r\n{body}").expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer in UTF-8");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status").parse().expect("a number");
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        for (_, set) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let value = set.strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('=')).expect("our cookie");
            let value = value.split(';').next().unwrap_or_default();
            self.cookie = (!value.is_empty()).then(|| value.to_owned());
        }
        if let Some((_, rest)) = text.split_once("name=\"form\" value=\"") {
            rest.split('"').next().unwrap_or_default().clone_into(&mut self.token);
        }
        Seen { status, headers, text: text.to_owned() }
    }
}
