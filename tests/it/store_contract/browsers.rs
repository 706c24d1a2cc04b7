//! Browsers on their way.

use brevet::domain::authorization::{Authorization, LoopbackRedirect, Return};
use brevet::domain::credential::SecretHash;
use brevet::domain::id::UpstreamUid;
use brevet::domain::pkce::CodeChallenge;
use brevet::domain::session::SignedIn;
use brevet::domain::sign_in::{Asker, SIGN_IN_LENGTH};
use time::Duration;

use super::world::{NOW, World, event, fresh, issuer_url, team_uid, user, user_uid};

fn terminal() -> Asker {
    Asker::Terminal(Authorization {
        back: Return {
            redirect: LoopbackRedirect::parse("http://127.0.0.1:8400/done").unwrap(),
            state: Some("s".to_owned()),
        },
        code_challenge: CodeChallenge::of("verifier"),
        device: None,
        team: Some(team_uid("red")),
    })
}

#[tokio::test]
async fn threat_38_a_browser_is_known_by_one_secret_at_a_time_and_decides_once() {
    for world in World::each().await {
        let store = &world.store;
        let issuer = store.ensure_issuer(&issuer_url(), fresh(), NOW).await.unwrap().id;
        store.create_user(&user("ann"), &event(issuer), None).await.unwrap();
        let (first, second, third) = (SecretHash::of("1"), SecretHash::of("2"), SecretHash::of("3"));
        let address = Some("192.0.2.7".parse().unwrap());
        store.begin_sign_in(&first, &terminal(), address, NOW).await.unwrap();
        let begun = store.sign_in(&first, NOW).await.unwrap().unwrap();
        assert_eq!((&begun.asker, begun.address, &begun.signed_in), (&terminal(), address, &None), "{}", world.name);
        assert_eq!(store.sign_in(&second, NOW).await.unwrap(), None);
        assert_eq!(store.sign_in(&first, NOW + SIGN_IN_LENGTH).await.unwrap(), None);
        let late = NOW + SIGN_IN_LENGTH;
        let who = SignedIn::by_code(user_uid("ann"), fresh(), NOW);
        assert!(!store.note_signed_in(&first, &second, &who, late).await.unwrap());
        assert!(!store.note_signed_in(&third, &second, &who, NOW).await.unwrap());
        assert!(store.note_signed_in(&first, &second, &who, NOW).await.unwrap());
        assert_eq!(store.sign_in(&first, NOW).await.unwrap(), None);
        assert_eq!(store.sign_in(&second, NOW).await.unwrap().unwrap().signed_in.as_ref(), Some(&who));
        // Signed in once, for good, and to no other provider.
        assert!(!store.note_signed_in(&second, &third, &who, NOW).await.unwrap());
        assert!(!store.choose_provider(&second, &UpstreamUid::parse("okta").unwrap(), NOW).await.unwrap());
        assert!(!store.finish_sign_in(&second, late).await.unwrap());
        assert!(store.finish_sign_in(&second, NOW).await.unwrap());
        assert!(!store.finish_sign_in(&second, NOW).await.unwrap());
        assert_eq!(store.sign_in(&second, NOW).await.unwrap(), None);
        let later = late + Duration::MILLISECOND;
        store.begin_sign_in(&third, &terminal(), None, later).await.unwrap();
        assert_eq!(store.forget_sign_ins_before(later).await.unwrap(), 0, "the new one took the old one with it");
    }
}
