//! Load that goes on and on: nothing is left of connections that have gone, and memory and descriptors do not grow.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::http::serve::{Protection, ServeOptions, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::app::{App, Options};
use crate::support::drilled::{Drilled, no_rates};
use crate::support::load::{Crowd, get, mint};
use crate::support::variable;

const PATIENCE: Duration = Duration::from_mins(1);

/// A burst of connections that mint and read until so many were answered, and are gone after it.
fn burst(address: &str, requests: &[Vec<u8>], answers: usize) {
    let crowd = Crowd {
        address: address.to_owned(),
        requests: requests.to_vec(),
        connections: 48,
        every: Duration::from_millis(5),
        humble: false,
    };
    let crowd = crowd.start();
    assert!(crowd.wait_for(answers, 200, PATIENCE), "there is no load: {:?}", crowd.so_far());
    let told = crowd.finish();
    // 503 where a mint waited for its place too long, on a machine that stalls.
    assert_eq!((told.of(200) + told.of(503), told.broken.len()), (told.all(), 0), "{:?}", told.answers);
}

/// The least that `count` tells within a second: what has just ended takes a moment to go.
fn least(count: impl Fn() -> usize) -> usize {
    let looks = (0..50).map(|_| {
        thread::sleep(Duration::from_millis(20));
        count()
    });
    looks.min().unwrap()
}

/// Waits until `count` tells no more than `most`.
fn returns_to(most: usize, what: &str, count: impl Fn() -> usize) {
    let began = Instant::now();
    while count() > most {
        assert!(began.elapsed() < PATIENCE, "{what}: {} where {most} were before", count());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_task_is_left_of_connections_that_came_and_went() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stop = CancellationToken::new();
    let (app, address, requests) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let url = IssuerUrl::parse(&format!("http://{address}"), Development::On).unwrap();
        let app = App::at(url, Options::default()).await;
        let team = app.team("red").await;
        let (key, _) = app.agent_key(&app.agent(&team, "bot").await).await;
        tokio::spawn(serve(listener, app.router.clone(), ServeOptions::new(Protection::Loopback), stop.clone()));
        let requests = vec![mint(&address, &key), get(&address, "/.well-known/jwks.json")];
        (app, address, requests)
    });
    let tasks = || runtime.metrics().num_alive_tasks();
    burst(&address, &requests, 200);
    let before = least(tasks);
    for _ in 0..3 {
        burst(&address, &requests, 200);
        returns_to(before, "tasks", tasks);
    }
    stop.cancel();
    drop(app);
}

/// What the system says of a process.
#[derive(Debug, Clone, Copy)]
struct Sample {
    minutes: f64,
    kilobytes: f64,
    descriptors: usize,
}

fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count()
}

fn sample(process: u32, began: Instant) -> Sample {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    let kilobytes = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    Sample { minutes: began.elapsed().as_secs_f64() / 60.0, kilobytes, descriptors: descriptors(process) }
}

/// By how many kilobytes in ten minutes a line through the samples rises.
fn slope(samples: &[Sample]) -> f64 {
    let count = f64::from(u32::try_from(samples.len()).unwrap());
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (at, of) = (mean(|sample| sample.minutes), mean(|sample| sample.kilobytes));
    let rise: f64 = samples.iter().map(|sample| (sample.minutes - at) * (sample.kilobytes - of)).sum();
    let run: f64 = samples.iter().map(|sample| (sample.minutes - at).powi(2)).sum();
    10.0 * rise / run
}

#[test]
fn descriptors_and_memory_return_to_where_they_were() {
    // In kilobytes. What a process keeps of its memory for itself goes up and down by less.
    const SLACK: f64 = 8192.0;
    for mut drilled in Drilled::each(&no_rates()) {
        let (address, process) = (drilled.address(), drilled.served.id());
        let keys = drilled.furnish(&["red"], 4).remove(0);
        let mut requests: Vec<_> = keys.iter().map(|key| mint(&address, key)).collect();
        requests.push(get(&address, "/.well-known/openid-configuration"));
        let after_burst = || {
            burst(&address, &requests, 200);
            least(|| descriptors(process))
        };
        // The pool grows up to its maximum, and one burst may not need all of that.
        let mut before = after_burst();
        let settles = (1..5).any(|_| {
            let (had, has) = (before, after_burst());
            before = had.max(has);
            has <= had
        });
        assert!(settles, "{}: every burst leaves more descriptors: {before}", drilled.name);
        let mut kept = Vec::new();
        for _ in 0..3 {
            burst(&address, &requests, 1500);
            returns_to(before, "descriptors", || descriptors(process));
            kept.push(sample(process, Instant::now()).kilobytes);
        }
        // Three kilobytes for each answer would show.
        assert!(kept[2] < kept[0] + SLACK, "{}: memory grows: {kept:?} kB", drilled.name);
        assert_eq!(drilled.served.stop().code(), Some(0));
    }
}

#[test]
#[ignore = "takes as many minutes as it is told: scripts/drill soak"]
fn memory_and_descriptors_stay_flat_at_four_fifths_of_what_it_can_carry() {
    const CONNECTIONS: u32 = 64;
    const TRIAL: Duration = Duration::from_secs(10);
    let minutes: f64 = variable("BREVET_DRILL_MINUTES").map_or(1.0, |text| text.to_str().unwrap().parse().unwrap());
    let store = variable("BREVET_DRILL_STORE").unwrap_or_else(|| "postgres".into());
    let drilled = match store.to_str() {
        Some("sqlite") => Some(Drilled::on_sqlite(crate::support::process::Home::new(), no_rates())),
        _ => Drilled::on_postgres(no_rates()),
    };
    let Some(mut drilled) = drilled else { return };
    let (address, process) = (drilled.address(), drilled.served.id());
    let keys = drilled.furnish(&["red", "blue", "green", "white"], 8);
    let requests: Vec<_> = keys.iter().flatten().map(|key| mint(&address, key)).collect();
    let crowd = |every| Crowd {
        address: address.clone(),
        requests: requests.clone(),
        connections: CONNECTIONS as usize,
        every,
        humble: false,
    };
    let carries = || {
        let trial = crowd(Duration::ZERO).start();
        thread::sleep(Duration::from_secs(2));
        trial.take();
        thread::sleep(TRIAL);
        let told = trial.take();
        trial.finish();
        assert_eq!((told.of(200), told.broken.len()), (told.all(), 0), "{:?}", told.answers);
        f64::from(u32::try_from(told.all()).unwrap()) / TRIAL.as_secs_f64()
    };
    let carried = carries();
    let idle = Sample { descriptors: least(|| descriptors(process)), ..sample(process, Instant::now()) };
    println!("soak, {}: carries {carried:.0} mints/s; {minutes} minutes at 80 % of it", drilled.name);

    let began = Instant::now();
    let readers = Crowd {
        requests: vec![get(&address, "/.well-known/jwks.json")],
        connections: 2,
        ..crowd(Duration::from_millis(100))
    };
    let (readers, load) =
        (readers.start(), crowd(Duration::from_secs(1).mul_f64(f64::from(CONNECTIONS) / (0.8 * carried))));
    let load = load.start();
    let (mut samples, mut told) = (Vec::new(), crate::support::load::Told::default());
    while began.elapsed().as_secs_f64() < minutes * 60.0 {
        thread::sleep(Duration::from_secs(5));
        samples.push(sample(process, began));
        // Kept as sums, so that whoever measures does not grow either.
        let piece = load.take();
        for (status, count) in piece.answers {
            *told.answers.entry(status).or_default() += count;
        }
        told.broken.extend(piece.broken);
        readers.take();
        if samples.len() % 60 == 0 {
            println!("  {:?}", samples[samples.len() - 1]);
        }
    }
    let rate = f64::from(u32::try_from(told.all()).unwrap()) / began.elapsed().as_secs_f64();
    let last = load.finish();
    readers.finish();
    // A machine that it shares with others may carry less than half an hour ago.
    let carries_now = carries();
    returns_to(idle.descriptors, "descriptors", || descriptors(process));
    // Caches and pools fill at first.
    let settled: Vec<_> = samples.iter().copied().filter(|sample| sample.minutes > minutes / 6.0).collect();
    let (first, end) = (settled[0], settled[settled.len() - 1]);
    let most = |samples: &[Sample]| samples.iter().map(|sample| sample.descriptors).max().unwrap_or_default();
    println!(
        "  {:.0} mints/s, {:.0} % of that and {:.0} % of the {carries_now:.0} that it carries afterwards; answers {:?}; \
         memory {:.1} MB idle, {:.1} MB after {:.1} minutes, {:.1} MB at the end, {:+.2} MB in ten minutes; \
         descriptors {} idle, at most {} under load at first and {} later, {} at the end",
        rate,
        100.0 * rate / carried,
        100.0 * rate / carries_now,
        told.answers,
        idle.kilobytes / 1024.0,
        first.kilobytes / 1024.0,
        first.minutes,
        end.kilobytes / 1024.0,
        slope(&settled) / 1024.0,
        idle.descriptors,
        most(&samples[..samples.len() / 6]),
        most(&settled),
        descriptors(process)
    );
    assert!(slope(&settled) < 1024.0, "memory grows");
    assert!(carries_now > 0.75 * carried, "it carried {carried:.0} mints/s, and carries {carries_now:.0} afterwards");
    // Each connection catches up with a second at most; more is missing where the issuer carries less for half an hour than
    // in ten seconds.
    let carried = carried.min(carries_now);
    assert!(rate > 0.75 * carried, "that was no load of four fifths: {rate:.0} of {carried:.0} mints/s");
    assert!(told.answers.keys().chain(last.answers.keys()).all(|status| *status == 200), "{:?}", told.answers);
    assert!(told.broken.is_empty() && last.broken.is_empty(), "{:?}", told.broken.first());
    assert_eq!(drilled.served.stop().code(), Some(0));
}
