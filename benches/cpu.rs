//! CPU time: of this process, and of others as the kernel tells it.

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;

/// How often `work` succeeds in a second of this thread's CPU time, tried for `length` of it. An error where it
/// fails: a failure may be quicker than the work.
pub(crate) fn rate(length: Duration, work: &mut impl FnMut() -> bool) -> Outcome<f64> {
    let start = of_this_thread();
    let mut done = 0_u32;
    loop {
        for _ in 0..4 {
            if !black_box(work()) {
                return Err("what is measured failed".into());
            }
        }
        done += 4;
        let spent = of_this_thread().saturating_sub(start);
        if spent >= length {
            return Ok(f64::from(done) / spent.as_secs_f64());
        }
    }
}

fn of_this_thread() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// CPU time of this process.
pub(crate) fn own() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// CPU time of process `id`, in user mode and in the kernel (proc(5), `stat`), in steps of a hundredth of a second.
pub(crate) fn of_process(id: u32) -> Outcome<Duration> {
    Ok(Stat::read(id).ok_or("the measured process is gone")?.spent)
}

/// CPU time of process `id` and its children, those that have ended included.
pub(crate) fn of_family(id: u32) -> Outcome<Duration> {
    let parent = Stat::read(id).ok_or("the measured process is gone")?;
    let ids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = ids.filter_map(Stat::read).filter(|stat| stat.parent == id);
    Ok(parent.spent + parent.of_ended_children + children.map(|child| child.spent).sum::<Duration>())
}

/// Memory of process `id` that is resident, in MiB.
pub(crate) fn resident(id: u32) -> Outcome<f64> {
    memory(id, "VmRSS:")
}

/// The most that it ever was.
pub(crate) fn resident_at_most(id: u32) -> Outcome<f64> {
    memory(id, "VmHWM:")
}

fn memory(id: u32, what: &str) -> Outcome<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).ok_or("the kernel does not tell")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

struct Stat {
    parent: u32,
    spent: Duration,
    of_ended_children: Duration,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it is in parentheses and may hold anything.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
        let per_second = u32::try_from(clock_ticks_per_second()).ok()?;
        let time = |ticks: u32| Duration::from_secs(1) * ticks / per_second;
        Some(Self {
            parent: field(4)?,
            spent: time(field(14)?) + time(field(15)?),
            of_ended_children: time(field(16)?) + time(field(17)?),
        })
    }
}
