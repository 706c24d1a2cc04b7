//! What makes two STS sessions different: the key of the credential cache.

use std::collections::BTreeMap;

use super::credential::Owner;
use crate::domain::id::RunId;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;

/// Everything that changes the session that STS would open. Two requests with equal keys may share credentials;
/// any two that differ in one member never do (threats 4 and 25: keys are compared whole, nothing is cut or hashed).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CredentialKey {
    /// Issuer and subject.
    pub owner: Owner,
    /// The run, which stands in the session name and the tags.
    pub run: Option<RunId>,
    /// The audience of the identity token that STS is shown.
    pub audience: Box<str>,
    /// How the first credentials are come by.
    pub identity: IdentityKind,
    /// Every role on the way, the first hop first.
    pub hops: Vec<Hop>,
    /// The STS that is called.
    pub sts_endpoint: Box<str>,
    /// The region of STS and Bedrock.
    pub region: Region,
    /// The source identity that the identity token sets.
    pub source_identity: Option<Box<str>>,
    /// The inline session policy.
    pub session_policy: Option<Box<str>>,
}

/// How the first credentials are come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityKind {
    /// AssumeRoleWithWebIdentity with an identity token of the issuer.
    WebIdentity,
}

/// One role on the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The role.
    pub role: RoleArn,
    /// The `RoleSessionName`.
    pub session_name: Box<str>,
    /// The `DurationSeconds`.
    pub duration_seconds: u32,
    /// The session tags.
    pub tags: BTreeMap<String, String>,
    /// Which of them survive the next hop.
    pub transitive_tag_keys: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subject::Subject;
    use std::collections::HashSet;

    pub(super) fn key() -> CredentialKey {
        CredentialKey {
            owner: Owner {
                issuer: "https://id.example.com".into(),
                subject: Subject::parse("scoped_principal:team-1/service_account:agent-1").unwrap(),
            },
            run: None,
            audience: "sts.amazonaws.com".into(),
            identity: IdentityKind::WebIdentity,
            hops: vec![Hop {
                role: RoleArn::parse("arn:aws:iam::111122223333:role/bedrock").unwrap(),
                session_name: "s.agent-1".into(),
                duration_seconds: 3600,
                tags: BTreeMap::new(),
                transitive_tag_keys: Vec::new(),
            }],
            sts_endpoint: "https://sts.us-east-1.amazonaws.com".into(),
            region: Region::parse("us-east-1").unwrap(),
            source_identity: None,
            session_policy: None,
        }
    }

    /// The destructuring has no `..`: a member added to a key does not compile until it has its line here.
    #[test]
    fn threat_4_and_25_each_member_makes_another_key() {
        let CredentialKey {
            owner: Owner { issuer: _, subject: _ },
            run: _,
            audience: _,
            identity: IdentityKind::WebIdentity,
            hops,
            sts_endpoint: _,
            region: _,
            source_identity: _,
            session_policy: _,
        } = key();
        let [Hop { role: _, session_name: _, duration_seconds: _, tags: _, transitive_tag_keys: _ }] = &hops[..] else {
            panic!("one hop");
        };
        let changes: [&dyn Fn(&mut CredentialKey); 15] = [
            &|_| (),
            &|key| key.owner.issuer = "https://id.example.com/".into(),
            &|key| key.owner.subject = Subject::parse("scoped_principal:team-1/service_account:agent-2").unwrap(),
            &|key| key.run = Some(RunId::parse("0123456789abcdefABCD").unwrap()),
            &|key| key.audience = "sts.amazonaws.com.cn".into(),
            &|key| key.hops[0].role = RoleArn::parse("arn:aws:iam::111122223333:role/bedrocK").unwrap(),
            &|key| key.hops[0].session_name = "s.agent-1.0".into(),
            &|key| key.hops[0].duration_seconds = 3601,
            &|key| key.hops[0].tags = BTreeMap::from([("brevet:team".into(), "team-1".into())]),
            &|key| key.hops[0].transitive_tag_keys = vec!["brevet:team".into()],
            &|key| key.hops.push(key.hops[0].clone()),
            &|key| key.sts_endpoint = "https://sts.us-west-2.amazonaws.com".into(),
            &|key| key.region = Region::parse("us-west-2").unwrap(),
            &|key| key.source_identity = Some("s.agent-1".into()),
            &|key| key.session_policy = Some("{}".into()),
        ];
        let keys: HashSet<_> = changes
            .iter()
            .map(|change| {
                let mut key = key();
                change(&mut key);
                key
            })
            .collect();
        assert_eq!(keys.len(), changes.len());
    }
}
