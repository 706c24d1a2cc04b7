//! Tokens of others count no more often than they may.

use brevet::store::{Presented, Store};
use futures_util::future::join_all;
use time::Duration;

use super::world::{NOW, World};

const ISSUER: &str = "https://ci.example.com";

async fn present(store: &Store, id: &str, uses_max: u32) -> Presented {
    store.present_token(&["subject_token"], ISSUER, id, uses_max, NOW + Duration::minutes(5), NOW).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_8_of_parallel_presentations_on_two_replicas_exactly_as_many_win_as_may() {
    for world in World::each().await {
        for (round, uses_max) in [1, 1, 1, 1, 3, 7, 16, 40].into_iter().enumerate() {
            let id = format!("token-{round}");
            let tries = (0..16).map(|n| {
                let store = if n % 2 == 0 { world.store.clone() } else { world.replica.clone() };
                let id = id.clone();
                tokio::spawn(async move { present(&store, &id, uses_max).await })
            });
            let results: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
            let mut uses: Vec<_> = results
                .iter()
                .filter_map(|presented| match presented {
                    Presented::Accepted { uses } => Some(*uses),
                    Presented::Spent => None,
                })
                .collect();
            uses.sort_unstable();
            assert_eq!(uses, (1..=uses_max.min(16)).collect::<Vec<_>>(), "{}", world.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_8_a_token_is_told_from_every_other_and_counts_in_each_scope() {
    for world in World::each().await {
        let store = &world.store;
        let (until, once) = (NOW + Duration::minutes(5), Presented::Accepted { uses: 1 });
        // The last two would be one to who joins with a colon, or cuts at a NUL (which PostgreSQL's texts refuse).
        for (scope, issuer, id) in [
            ("subject_token", ISSUER, "a"),
            ("client_assertion", ISSUER, "a"),
            ("subject_token", "https://ci.example.com/", "a"),
            ("subject_token", ISSUER, "A"),
            ("subject_token", ISSUER, "a\0b"),
            ("subject_token", ISSUER, "a\0c"),
            ("subject_token", ISSUER, &"long".repeat(5000)),
        ] {
            let first = store.present_token(&[scope], issuer, id, 1, until, NOW).await;
            let second = store.present_token(&[scope], issuer, id, 1, until, NOW).await;
            assert_eq!((first, second), (Ok(once), Ok(Presented::Spent)), "{scope} {issuer} {id} {}", world.name);
        }
        for (uses_max, until) in [(0, until), (1, NOW), (1, NOW - Duration::SECOND)] {
            let presented = store.present_token(&["subject_token"], ISSUER, "b", uses_max, until, NOW).await;
            assert_eq!(presented, Ok(Presented::Spent), "{}", world.name);
        }
        assert_eq!(present(store, "b", 1).await, once, "what was not accepted did not count");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_8_a_presented_token_is_remembered_to_the_latest_end_that_was_told() {
    for world in World::each().await {
        let store = &world.store;
        for (id, minutes) in [("short", 1), ("short", 10), ("short", 2), ("other", 3)] {
            let until = NOW + Duration::minutes(minutes);
            let presented = store.present_token(&["subject_token"], ISSUER, id, 3, until, NOW).await.unwrap();
            assert_ne!(presented, Presented::Spent, "{}", world.name);
        }
        let at = |minutes| NOW + Duration::minutes(minutes);
        assert_eq!(store.forget_presented_before(at(3)).await, Ok(0), "{}", world.name);
        assert_eq!(store.forget_presented_before(at(10)).await, Ok(1), "{}", world.name);
        assert_eq!(present(store, "short", 3).await, Presented::Spent, "{}", world.name);
        assert_eq!(store.forget_presented_before(at(11)).await, Ok(1), "{}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_8_what_is_spent_in_one_scope_counts_in_none_and_is_taken_once_also_in_parallel() {
    for world in World::each().await {
        let present = async |store: Store, scopes: [&'static str; 2], id: String| {
            let until = NOW + Duration::minutes(5);
            store.present_token(&scopes, ISSUER, &id, 1, until, NOW).await.unwrap() != Presented::Spent
        };
        // Two rules of one team, or one of each of two teams, under which the same key signs.
        for (round, other) in [["team:a", "key:k"], ["team:b", "key:k"]].into_iter().enumerate() {
            let tries = (0..16).map(|n| {
                let (store, scopes) = match n % 2 {
                    0 => (world.store.clone(), ["team:a", "key:k"]),
                    _ => (world.replica.clone(), other),
                };
                tokio::spawn(present(store, scopes, format!("token-{round}")))
            });
            let won = join_all(tries).await.into_iter().filter(|won| *won.as_ref().unwrap()).count();
            assert_eq!(won, 1, "{}", world.name);
        }
        let store = || world.store.clone();
        assert!(!present(store(), ["team:c", "key:k"], "token-1".to_owned()).await);
        assert!(present(store(), ["team:c", "key:l"], "token-1".to_owned()).await, "the refused try counted nowhere");
    }
}
