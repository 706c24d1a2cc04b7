//! Far more than can be served: one team with many times the connections that there are places, strangers with bad
//! credentials, and readers of the public documents. What is admitted is answered and has its row, the rest is told to come
//! back and leaves a few rows, the documents answer throughout, another team goes on, and it is over when it is over, also
//! where those that wait hang up.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs the drill")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use brevet::domain::credential::{CredentialKind, OpaqueCredential};

use crate::support::drilled::{Drilled, no_rates};
use crate::support::entropy::SeededEntropy;
use crate::support::load::{Crowd, Crowding, Told, get, mint, mint_from};
use crate::support::variable;

const PATIENCE: Duration = Duration::from_mins(1);
/// From how many networks strangers come.
const NETWORKS: usize = 64;
/// Rows about refusals that each network leaves in a minute at most: for each action and reason, with room to spare.
const CAUSES: usize = 8;
const DOCUMENTS: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/jwks.json"];

/// How much is thrown at it.
struct Scale {
    places: Option<&'static str>,
    red: usize,
    strangers: usize,
    seconds: Option<u64>,
}

/// Credentials of the right form that nobody was given, each with a network of its own, and ones of no form.
fn strangers(address: &str, count: usize) -> Vec<Vec<u8>> {
    let entropy = SeededEntropy::new(24);
    (0..count)
        .map(|n| {
            let from = format!("x-forwarded-for: 198.51.{}.{}\r\n", n / 250 % 250, n % 250);
            if n % 4 == 0 {
                return mint_from(address, "bvt_sa_mistyped", &from);
            }
            let unknown = OpaqueCredential::generate(CredentialKind::ServiceAccount, &entropy);
            mint_from(address, unknown.secret().expose(), &from)
        })
        .collect()
}

fn only(told: &Told, statuses: &[u16], who: &str) {
    assert!(told.answers.keys().all(|status| statuses.contains(status)), "{who}: {:?}", told.answers);
    assert_eq!(told.without_retry_after, 0, "{who} was not told when to come back");
    assert!(told.broken.is_empty(), "{who}: {:?}", told.broken.iter().take(3).collect::<Vec<_>>());
}

fn told(who: &str, told: &Told, statuses: &[u16], seconds: f64) {
    for status in statuses.iter().filter(|status| told.of(**status) > 0) {
        println!(
            "  {who:<9} {status}: {:>8.0}/s, p50 {:>7.2} ms, p99 {:>7.2} ms",
            f64::from(u32::try_from(told.of(*status)).unwrap()) / seconds,
            told.percentile(*status, 50).as_secs_f64() * 1e3,
            told.percentile(*status, 99).as_secs_f64() * 1e3
        );
    }
}

/// How many mints there are in a second, and in a second of the server's CPU time.
struct Rate {
    by_the_clock: f64,
    by_cpu: f64,
    /// How many cores the server had.
    cores: f64,
}

/// A stretch of time, and the CPU time that the server had used when it began.
struct Stretch {
    process: u32,
    began: Instant,
    cpu: f64,
}

impl Stretch {
    fn begin(process: u32) -> Self {
        Self { process, began: Instant::now(), cpu: cpu_seconds(process) }
    }

    fn rate(&self, mints: usize) -> Rate {
        let (seconds, cpu) = (self.began.elapsed().as_secs_f64(), cpu_seconds(self.process) - self.cpu);
        let mints = f64::from(u32::try_from(mints).unwrap());
        Rate { by_the_clock: mints / seconds, by_cpu: mints / cpu, cores: cpu / seconds }
    }
}

/// User and system time of a process, in seconds: fields 14 and 15 of proc(5), which counts in hundredths.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("a number"));
    f64::from(ticks.sum::<u32>()) / 100.0
}

/// What `crowd` is given while nobody else asks, and its tokens.
fn carried(crowd: Crowd, process: u32) -> (Rate, BTreeSet<String>) {
    let alone = crowd.start();
    std::thread::sleep(Duration::from_secs(2));
    let (mut tokens, stretch) = (alone.take().tokens, Stretch::begin(process));
    std::thread::sleep(Duration::from_secs(5));
    let told = alone.take();
    let rate = stretch.rate(told.of(200));
    tokens.extend(told.tokens);
    tokens.extend(alone.finish().tokens);
    (rate, tokens)
}

/// Waits until ten more have been served, and half of the seconds that there are; all that was told since it was last taken.
fn for_a_while(crowd: &Crowding, scale: &Scale, name: &str) -> Told {
    assert!(crowd.wait_for(10, 200, PATIENCE), "{name}: {:?}", crowd.so_far().answers);
    std::thread::sleep(Duration::from_secs(scale.seconds.unwrap_or_default() / 2));
    crowd.take()
}

fn overload(mut drilled: Drilled, scale: &Scale) {
    let (address, name) = (drilled.address(), drilled.name);
    let keys = drilled.furnish(&["red", "blue"], 8);
    let crowd = |requests: Vec<Vec<u8>>, connections, every| Crowd {
        address: address.clone(),
        requests,
        connections,
        every,
        humble: true,
    };
    let mints = |team: usize| keys[team].iter().map(|key| mint(&address, key)).collect::<Vec<_>>();
    let (whole, began) = (scale.seconds.is_some(), Instant::now());
    let (process, sixty_four) = (drilled.served.id(), Crowd { humble: false, ..crowd(mints(0), 64, Duration::ZERO) });
    let alone = whole.then(|| carried(sixty_four, process));
    let readers = Crowd {
        humble: false,
        ..crowd(DOCUMENTS.map(|path| get(&address, path)).into(), 4, Duration::from_millis(20))
    };
    let readers = readers.start();
    let blue = Crowd { humble: false, ..crowd(mints(1), 2, Duration::from_millis(20)) }.start();
    let quiet = for_a_while(&blue, scale, name);
    let strange = crowd(strangers(&address, NETWORKS), scale.strangers, Duration::ZERO).start();
    assert!(strange.wait_for(20, 401, PATIENCE), "{name}: {:?}", strange.so_far().answers);
    let beside_strangers = for_a_while(&blue, scale, name);
    only(&strange.take(), &[401, 429, 503], "a stranger");
    only(&readers.take(), &[200], "a reader");
    let flooded = Stretch::begin(process);
    let red = crowd(mints(0), scale.red, Duration::ZERO).start();
    // Until everything has happened that is to be seen.
    assert!(red.wait_for(20, 503, PATIENCE), "{name}: nothing was refused: {:?}", red.so_far().answers);
    assert!(red.wait_for(50, 200, PATIENCE), "{name}: {:?}", red.so_far().answers);
    assert!(blue.wait_for(10, 200, PATIENCE), "{name}: {:?}", blue.so_far().answers);
    assert!(strange.wait_for(20, 401, PATIENCE), "{name}: {:?}", strange.so_far().answers);
    assert!(readers.wait_for(20, 200, PATIENCE), "{name}: {:?}", readers.so_far().answers);
    std::thread::sleep(Duration::from_secs(scale.seconds.unwrap_or_default()));
    let ready = drilled.readiness();
    assert_eq!(ready["ready"], true, "a saturated replica stays ready: {ready}");
    let seconds = flooded.began.elapsed().as_secs_f64();
    let rate = flooded.rate(red.so_far().of(200) + blue.so_far().of(200));
    let (red, strange) = (red.finish(), strange.finish());
    let over = Instant::now();
    assert!(blue.wait_for(1, 200, PATIENCE), "{name}: {:?}", blue.so_far().answers);
    let recovered = over.elapsed();
    let (blue, readers) = (blue.finish(), readers.finish());
    println!("overload, {name}: {} red connections, {} strangers, {seconds:.1} s", scale.red, scale.strangers);
    if let Some((alone, _)) = &alone {
        println!(
            "  {:.0} mints/s in all, {:.0} % of those for 64 connections alone; {:.0} in a second of CPU time, {:.0} %; on {:.2} \
             cores, {:.2} then",
            rate.by_the_clock,
            100.0 * rate.by_the_clock / alone.by_the_clock,
            rate.by_cpu,
            100.0 * rate.by_cpu / alone.by_cpu,
            rate.cores,
            alone.cores
        );
    }
    let p99 = |told: &Told| told.percentile(200, 99).as_secs_f64() * 1e3;
    println!(
        "  blue, p99: {:.2} ms alone, {:.2} ms beside strangers, {:.2} ms beside all",
        p99(&quiet),
        p99(&beside_strangers),
        p99(&blue)
    );
    told("red", &red, &[200, 503], seconds);
    told("blue", &blue, &[200, 503], seconds);
    told("strangers", &strange, &[401, 429, 503], seconds);
    told("documents", &readers, &[200], seconds);
    println!("  a mint after its end took {:.2} ms", recovered.as_secs_f64() * 1e3);
    only(&red, &[200, 503], "red");
    // Its line is never full; on a host that is busy with other things it may have to wait too long.
    only(&blue, &[200, 503], "blue");
    only(&readers, &[200], "a reader");
    // 503 where too many strangers wait for the store at once.
    only(&strange, &[401, 429, 503], "a stranger");
    // Who asks for little, or for what is always there, does not wait as whoever asks for everything.
    for (told, who) in [(&blue, "blue"), (&readers, "a reader")] {
        assert!(told.percentile(200, 50) < red.percentile(200, 50), "{name}: {who} waits as red does");
    }

    assert_eq!(drilled.served.stop().code(), Some(0));
    let blue = [quiet, beside_strangers, blue];
    every_token_has_its_row(&drilled, [&red].into_iter().chain(&blue), alone.map(|(_, tokens)| tokens));
    let minutes = usize::try_from(began.elapsed().as_secs() / 60).unwrap() + 2;
    let (rows, most) = (drilled.refusals(), NETWORKS * CAUSES * minutes);
    println!("  {rows} rows tell of all that was refused");
    assert!(rows <= most, "{name}: {rows} rows of refusals in {minutes} minutes");
}

/// And each row its token: everyone waited for the answer owed.
fn every_token_has_its_row<'a>(
    drilled: &Drilled,
    told: impl Iterator<Item = &'a Told>,
    more: Option<BTreeSet<String>>,
) {
    let mut received = more.unwrap_or_default();
    let mut count = received.len();
    for told in told {
        count += told.of(200);
        received.extend(told.tokens.iter().cloned());
    }
    let (name, released) = (drilled.name, drilled.released());
    let lost: Vec<_> = received.difference(&released).collect();
    assert!(lost.is_empty(), "{name}: {} of {} tokens have no row", lost.len(), received.len());
    let unanswered: Vec<_> = released.difference(&received).collect();
    assert!(unanswered.is_empty(), "{name}: {} of {} rows without a token", unanswered.len(), released.len());
    assert_eq!(received.len(), count, "{name}: each token is its own");
}

/// Whoever waits and hangs up leaves no place and no line behind: the same team's next clients are served at once.
fn hang_up(mut drilled: Drilled, scale: &Scale) {
    let (address, name) = (drilled.address(), drilled.name);
    let keys = drilled.furnish(&["red"], 8).remove(0);
    let requests: Vec<_> = keys.iter().map(|key| mint(&address, key)).collect();
    let flood = Crowd { address, requests, connections: scale.red, every: Duration::ZERO, humble: true };
    let (next, flood) =
        (Crowd { connections: 8, every: Duration::from_millis(20), humble: false, ..flood.clone() }, flood.start());
    assert!(flood.wait_for(20, 503, PATIENCE), "{name}: nothing was refused: {:?}", flood.so_far().answers);
    assert!(flood.wait_for(50, 200, PATIENCE), "{name}: {:?}", flood.so_far().answers);
    if let Some(seconds) = scale.seconds {
        std::thread::sleep(Duration::from_secs(seconds));
    }
    let mut tokens = flood.hang_up().tokens;
    let over = Instant::now();
    while drilled.metric("brevet_mints_waiting") > 0.0 {
        assert!(over.elapsed() < PATIENCE, "{name}: who has gone waits on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let emptied = over.elapsed();
    let next = next.start();
    assert!(next.wait_for(1, 200, PATIENCE), "{name}: {:?}", next.so_far().answers);
    let (first, refused) = (over.elapsed(), next.so_far().of(503));
    assert!(next.wait_for(40, 200, PATIENCE), "{name}: {:?}", next.so_far().answers);
    let soon = next.take();
    assert!(next.wait_for(40, 200, PATIENCE), "{name}: {:?}", next.so_far().answers);
    let then = next.finish();
    println!(
        "overload, {name}: {} connections hang up; nobody waits after {:.1} ms, the same team's next token after {:.1} ms \
         and {refused} refusals",
        scale.red,
        emptied.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    );
    only(&soon, &[200, 503], "who comes next");
    only(&then, &[200, 503], "who comes then");
    // Some are refused where the machine stalls.
    assert!(then.of(503) * 2 <= then.all(), "{name}: {:?}", then.answers);
    assert_eq!(drilled.served.stop().code(), Some(0));
    tokens.extend(soon.tokens);
    tokens.extend(then.tokens);
    let released = drilled.released();
    assert!(tokens.is_subset(&released), "{name}: {} tokens have no row", tokens.difference(&released).count());
}

/// As much as is asked for, with what the issuer is told for it.
fn scale() -> (Scale, Vec<(&'static str, String)>) {
    let seconds = variable("BREVET_DRILL_SECONDS").map(|text| text.to_str().unwrap().parse().unwrap());
    let scale = match seconds {
        // What a host of its cores has by itself.
        Some(_) => Scale { places: None, red: 2000, strangers: 200, seconds },
        None => Scale { places: Some("16/64"), red: 120, strangers: 16, seconds },
    };
    let mut variables = no_rates();
    variables.push(("BREVET_TRUSTED_PROXIES", "127.0.0.1".to_owned()));
    variables.extend(scale.places.map(|places| ("BREVET_LIMIT_IN_FLIGHT", places.to_owned())));
    (scale, variables)
}

#[test]
fn threat_24_overloaded_it_answers_what_it_can_and_tells_the_rest_to_come_back() {
    let (scale, variables) = scale();
    for drilled in Drilled::each(&variables) {
        overload(drilled, &scale);
    }
}

#[test]
fn threat_24_after_a_flood_that_hangs_up_the_same_teams_next_clients_are_served() {
    let (scale, variables) = scale();
    for drilled in Drilled::each(&variables) {
        hang_up(drilled, &scale);
    }
}
