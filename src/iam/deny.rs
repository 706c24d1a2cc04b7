//! Closing what is open already: deny policies that end live sessions of a role, and the CloudTrail queries that show
//! what those sessions were.
//!
//! An STS session outlives the token that opened it and knows nothing of our revocations, so only the account that owns
//! the role can end it. A deny in the role's own policies acts on every request of its sessions from that moment on,
//! whenever they were opened (IAM User Guide, "Revoke IAM role temporary security credentials").

use std::fmt::Write as _;

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::document::{Actions, Conditions, Document, Effect, Principals, Resources, Statement, Values, Version};
use super::operator::{Comparison, Operator};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::session_name::SourceIdentity;
use crate::domain::subject::Subject;

/// Characters of one managed policy (IAM quotas; white space does not count). A role whose inline policies have no room
/// left for a deny takes it as a managed policy.
pub const MANAGED_MAX: usize = 6144;

/// Most principals in one document, so that the longest subjects under the longest issuer URL stay within
/// [`MANAGED_MAX`].
pub const NAMED_MAX: usize = 40;

/// Denies every request of sessions whose credentials were issued before `instant`, whoever opened them: after the theft
/// of a signing key, nobody knows which of them were forged. Sessions opened from `instant` on are untouched, so a caller
/// with a sound token is cut off only until it has opened a new one.
///
/// `aws:TokenIssueTime` has whole seconds; the instant is rounded up, so that the second it lies in is denied whole.
/// A session chained from the role has an issue time of its own: the deny belongs into every role of a chain.
pub fn sessions_before(instant: OffsetDateTime) -> Document {
    let key = ("aws:TokenIssueTime".to_owned(), Values::one(&written(instant)));
    permission("BrevetSessionsBefore", Comparison::DateLessThan, key)
}

/// Denies every request of sessions that tokens of `subjects` opened, at any time, past or future. A person in several
/// teams has one subject in each. One document for each [`NAMED_MAX`] subjects; none without any.
///
/// The key `<issuer>:sub` is there in the sessions that a token opened directly and absent from those chained from them:
/// there [`source_identities`] acts.
pub fn subjects(issuer: &IssuerUrl, subjects: &[Subject]) -> Vec<Document> {
    named(subjects, |values| permission("BrevetSubjects", Comparison::StringEquals, (subject_key(issuer), values)))
}

/// Denies every request of sessions with one of these source identities, chained ones included: STS carries a source
/// identity through every hop unchanged. It acts only where the team's tokens carry one.
pub fn source_identities(identities: &[SourceIdentity]) -> Vec<Document> {
    named(identities, |values| {
        permission("BrevetSourceIdentities", Comparison::StringEquals, ("aws:SourceIdentity".to_owned(), values))
    })
}

/// The statement for a role's *trust* policy that admits none of `subjects` any more. It stands beside what the policy
/// says already and opens nothing; live sessions do not notice it. At most [`NAMED_MAX`] subjects, and within the trust
/// policy's 2048 characters far fewer.
pub fn trust_statement(issuer: &IssuerUrl, role: &RoleArn, subjects: &[Subject]) -> Statement {
    Statement {
        sid: Some("BrevetNotThese".to_owned()),
        effect: Effect::Deny,
        principal: Some(Principals::federated(&provider_arn(issuer, role))),
        actions: Actions::Only(Values::one("sts:AssumeRoleWithWebIdentity")),
        resources: None,
        conditions: condition(Comparison::StringEquals, (subject_key(issuer), texts(subjects))),
    }
}

/// The AWS CLI call that puts `document` into `role` under `name` (1 to 128 of `[A-Za-z0-9_+=,.@-]`), for a POSIX shell.
/// It replaces a policy of the same name, so it may run again.
pub fn put_command(role: &RoleArn, name: &str, document: &Document) -> String {
    format!(
        "aws iam put-role-policy --role-name {} --policy-name {} --policy-document {}",
        quoted(role.name()),
        quoted(name),
        quoted(&document.to_json())
    )
}

/// The AWS CLI call that takes the policy `name` out of `role` again.
pub fn delete_command(role: &RoleArn, name: &str) -> String {
    format!("aws iam delete-role-policy --role-name {} --policy-name {}", quoted(role.name()), quoted(name))
}

/// Which events of CloudTrail to find: sessions of `role` that tokens of `issuer` opened.
#[derive(Debug, Clone)]
pub struct Trail<'a> {
    /// Who signed the tokens.
    pub issuer: &'a IssuerUrl,
    /// Which role they opened.
    pub role: &'a RoleArn,
    /// Of one principal only.
    pub subject: Option<&'a Subject>,
    /// From when on.
    pub since: OffsetDateTime,
}

impl Trail<'_> {
    /// The AWS CLI call that lists them from the event history (90 days, every account, no set-up), for a POSIX shell.
    /// `region` is that of the STS endpoint, since history is kept apart by region; without it the caller's own.
    ///
    /// The history takes one attribute; role, provider and subject are found by their quoted text in the event, so that
    /// no name matches one that it begins.
    pub fn lookup_command(&self, region: Option<&Region>) -> String {
        let provider = provider_arn(self.issuer, self.role);
        let subject = self.subject.map(ToString::to_string);
        let mut wanted = String::new();
        for text in [Some(self.role.as_str()), Some(&provider), subject.as_deref()].into_iter().flatten() {
            let and = if wanted.is_empty() { "" } else { " && " };
            let text = text.replace('\\', r"\\").replace('\'', r"\'");
            let _ = write!(wanted, "{and}contains(CloudTrailEvent, '\"{text}\"')");
        }
        let region = region.map_or_else(String::new, |region| format!("--region {region} "));
        format!(
            "aws cloudtrail lookup-events {region}--start-time {} \
             --lookup-attributes AttributeKey=EventName,AttributeValue=AssumeRoleWithWebIdentity \
             --query {} --output text",
            written(self.since),
            quoted(&format!("Events[?{wanted}].CloudTrailEvent"))
        )
    }

    /// The Athena query over the table `cloudtrail_logs` (CloudTrail User Guide, "Querying AWS CloudTrail logs"): who
    /// opened sessions of the role, and everything those sessions did, in order of time.
    pub fn athena_query(&self) -> String {
        let (role, provider) = (literal(self.role.as_str()), provider_arn(self.issuer, self.role));
        let subject = self.subject.map_or_else(String::new, |subject| {
            format!("\n    AND useridentity.username = {}", literal(&subject.to_string()))
        });
        // Sessions of one principal are told apart by what opened them: their own events do not name the subject.
        let used = match self.subject {
            Some(_) => String::new(),
            None => format!("\n  OR useridentity.sessioncontext.sessionissuer.arn = {role}"),
        };
        format!(
            "SELECT eventtime, eventsource, eventname, useridentity.username AS subject,\n  \
             json_extract_scalar(requestparameters, '$.roleSessionName') AS session_name,\n  \
             useridentity.arn AS session, sourceipaddress, useragent, errorcode\n\
             FROM cloudtrail_logs\n\
             WHERE eventtime >= {} AND (\n  \
             (eventname = 'AssumeRoleWithWebIdentity'\n    \
             AND json_extract_scalar(requestparameters, '$.roleArn') = {role}\n    \
             AND starts_with(useridentity.principalid, {}){subject}){used})\n\
             ORDER BY eventtime",
            literal(&written(self.since)),
            literal(&format!("{provider}:"))
        )
    }
}

/// The ARN of the issuer's identity provider in the role's account.
pub fn provider_arn(issuer: &IssuerUrl, role: &RoleArn) -> String {
    format!("arn:{}:iam::{}:oidc-provider/{}", role.partition(), role.account(), issuer.without_scheme())
}

fn subject_key(issuer: &IssuerUrl) -> String {
    format!("{}:sub", issuer.without_scheme())
}

fn named<T: ToString>(all: &[T], document: impl Fn(Values) -> Document) -> Vec<Document> {
    all.chunks(NAMED_MAX).map(|some| document(texts(some))).collect()
}

fn texts<T: ToString>(all: &[T]) -> Values {
    match all {
        [only] => Values::one(&only.to_string()),
        several => Values::list(several.iter().map(ToString::to_string)),
    }
}

fn permission(sid: &str, comparison: Comparison, key: (String, Values)) -> Document {
    let statement = Statement {
        sid: Some(sid.to_owned()),
        effect: Effect::Deny,
        principal: None,
        actions: Actions::Only(Values::one("*")),
        resources: Some(Resources::Only(Values::one("*"))),
        conditions: condition(comparison, key),
    };
    Document { version: Version::V2012, id: None, statement: vec![statement] }
}

fn condition(comparison: Comparison, key: (String, Values)) -> Conditions {
    Conditions::from([(Operator::new(comparison), [key].into())])
}

/// RFC 3339 in UTC and whole seconds, rounded up.
fn written(instant: OffsetDateTime) -> String {
    let whole = instant.replace_nanosecond(0).unwrap_or(instant);
    let up = if whole < instant { whole.checked_add(Duration::SECOND).unwrap_or(whole) } else { whole };
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    up.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_default()
}

/// For a POSIX shell: IAM takes a quote in a role's path.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// For SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::super::document::Kind;
    use super::super::evaluate::{Caller, Context, Request, Verdict, evaluate};
    use super::*;
    use crate::domain::id::TeamUid;
    use crate::domain::issuer_url::{Development, ISSUER_URL_MAX};
    use crate::domain::principal::{ActorType, Principal};

    const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;

    fn issuer() -> IssuerUrl {
        IssuerUrl::parse("https://id.example/a", Development::Off).unwrap()
    }

    fn role() -> RoleArn {
        RoleArn::parse("arn:aws:iam::111122223333:role/it's/bedrock").unwrap()
    }

    fn ann(team: &str) -> Subject {
        Subject::new(TeamUid::parse(team).unwrap(), Principal::new(ActorType::User, "ann").unwrap())
    }

    /// What a session with these condition keys gets that may do everything but for `denies`.
    fn verdict(denies: &[Document], keys: &[(&str, &str)]) -> Verdict {
        let mut context = Context::new();
        for (key, value) in keys {
            context.set(key, *value);
        }
        let allow = Document::parse(ALLOW, Kind::Permission).unwrap();
        // What is handed out is text: it must read back as what was meant.
        let read = denies.iter().map(|deny| Document::parse(&deny.to_json(), Kind::Permission).unwrap());
        let all: Vec<_> = read.chain([allow]).collect();
        let request = Request {
            caller: Caller::Holder,
            action: "bedrock:InvokeModel",
            resource: Some("arn:aws:bedrock:eu-central-1::foundation-model/m"),
            context: &context,
        };
        evaluate(&all, &request)
    }

    #[test]
    fn threat_23_sessions_from_before_the_instant_are_ended_and_later_ones_are_not() {
        let deny = [sessions_before(datetime!(2026-11-22 02:00:00.25 UTC))];
        let at = |issued: &str| verdict(&deny, &[("aws:TokenIssueTime", issued)]);
        assert_eq!(at("2026-11-21T22:00:00Z"), Verdict::ExplicitDeny);
        assert_eq!(at("2026-11-22T02:00:00Z"), Verdict::ExplicitDeny, "the second of the instant itself");
        assert_eq!(at("2026-11-22T02:00:01Z"), Verdict::Allow);
        assert_eq!(
            deny[0].to_json(),
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"BrevetSessionsBefore","Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-22T02:00:01Z"}}}]}"#
        );
    }

    #[test]
    fn threat_23_one_principal_is_ended_under_its_own_issuer_and_nobody_else() {
        let denies = subjects(&issuer(), &[ann("red"), ann("blue")]);
        let of = |key: &str, subject: &str| verdict(&denies, &[(key, subject)]);
        assert_eq!(of("id.example/a:sub", "scoped_principal:red/user:ann"), Verdict::ExplicitDeny);
        assert_eq!(of("id.example/a:sub", "scoped_principal:blue/user:ann"), Verdict::ExplicitDeny);
        assert_eq!(of("id.example/a:sub", "scoped_principal:red/user:anna"), Verdict::Allow);
        assert_eq!(of("id.example/a:sub", "scoped_principal:red/service_account:ann"), Verdict::Allow);
        assert_eq!(of("id.example:sub", "scoped_principal:red/user:ann"), Verdict::Allow, "another issuer");
        assert_eq!(verdict(&denies, &[]), Verdict::Allow, "a chained session has no subject");
        assert!(subjects(&issuer(), &[]).is_empty());
    }

    #[test]
    fn threat_23_chained_sessions_are_ended_by_source_identity() {
        let denies = source_identities(&[SourceIdentity::new(ann("red").principal())]);
        assert_eq!(verdict(&denies, &[("aws:SourceIdentity", "u.ann")]), Verdict::ExplicitDeny);
        assert_eq!(verdict(&denies, &[("aws:SourceIdentity", "s.ann")]), Verdict::Allow);
        assert_eq!(verdict(&denies, &[]), Verdict::Allow);
    }

    #[test]
    fn the_trust_statement_refuses_the_subject_beside_an_allow_of_its_team() {
        let provider = provider_arn(&issuer(), &role());
        let allow = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Federated":"{provider}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringLike":{{"id.example/a:sub":"scoped_principal:red/*"}}}}}}}}"#
        );
        let mut trust = Document::parse(&allow, Kind::Trust).unwrap();
        trust.statement.push(trust_statement(&issuer(), &role(), &[ann("red")]));
        let trust = Document::parse(&trust.to_json(), Kind::Trust).unwrap();
        let admits = |subject: &str| {
            let mut context = Context::new();
            context.set("id.example/a:sub", subject);
            let caller = Caller::Federated { provider: &provider };
            let action = "sts:AssumeRoleWithWebIdentity";
            evaluate([&trust], &Request { caller, action, resource: None, context: &context })
        };
        assert_eq!(admits("scoped_principal:red/user:ann"), Verdict::ExplicitDeny);
        assert_eq!(admits("scoped_principal:red/user:ben"), Verdict::Allow);
    }

    #[test]
    fn the_longest_denies_fit_a_managed_policy() {
        let issuer = format!("https://id.example/{}", "a".repeat(ISSUER_URL_MAX - 19));
        let issuer = IssuerUrl::parse(&issuer, Development::Off).unwrap();
        let uid = |n: usize| format!("{n:0>48}");
        let long = |n: usize| {
            let principal = Principal::new(ActorType::ServiceAccount, &uid(n)).unwrap();
            Subject::new(TeamUid::parse(&uid(n)).unwrap(), principal)
        };
        let many: Vec<_> = (0..=2 * NAMED_MAX).map(long).collect();
        let identities: Vec<_> = many.iter().map(|subject| SourceIdentity::new(subject.principal())).collect();
        let documents = [subjects(&issuer, &many), source_identities(&identities)].concat();
        assert_eq!(documents.len(), 6, "three each");
        for document in documents {
            assert!(document.to_json().len() <= MANAGED_MAX, "{}", document.to_json().len());
        }
    }

    #[test]
    fn commands_and_queries_are_quoted_for_who_reads_them() {
        let subject = ann("red");
        let (issuer, role) = (issuer(), role());
        let since = datetime!(2026-11-22 02:00 UTC);
        let trail = Trail { issuer: &issuer, role: &role, subject: Some(&subject), since };
        let lookup = trail.lookup_command(Region::parse("eu-central-1").ok().as_ref());
        assert_eq!(
            lookup,
            "aws cloudtrail lookup-events --region eu-central-1 --start-time 2026-11-22T02:00:00Z --lookup-attributes \
             AttributeKey=EventName,AttributeValue=AssumeRoleWithWebIdentity --query 'Events[?contains(CloudTrailEvent, \
             '\\''\"arn:aws:iam::111122223333:role/it\\'\\''s/bedrock\"'\\'') && contains(CloudTrailEvent, \
             '\\''\"arn:aws:iam::111122223333:oidc-provider/id.example/a\"'\\'') && contains(CloudTrailEvent, \
             '\\''\"scoped_principal:red/user:ann\"'\\'')].CloudTrailEvent' --output text"
        );
        let query = trail.athena_query();
        assert!(query.contains("'$.roleArn') = 'arn:aws:iam::111122223333:role/it''s/bedrock'"), "{query}");
        assert!(query.contains("useridentity.username = 'scoped_principal:red/user:ann'"), "{query}");
        assert!(query.contains("'arn:aws:iam::111122223333:oidc-provider/id.example/a:'"), "{query}");
        assert!(!query.contains("sessionissuer"), "{query}");
        let everyone = Trail { subject: None, ..trail }.athena_query();
        assert!(everyone.contains("sessionissuer.arn = 'arn:aws:iam::111122223333:role/it''s/bedrock'"), "{everyone}");
        let put = put_command(&role, "brevet-revoke", &sessions_before(since));
        assert!(put.starts_with("aws iam put-role-policy --role-name 'bedrock' --policy-name 'brevet-revoke' "));
        assert_eq!(
            delete_command(&role, "brevet-revoke"),
            "aws iam delete-role-policy --role-name 'bedrock' --policy-name 'brevet-revoke'"
        );
    }
}
