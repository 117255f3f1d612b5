//! [`Heartbeat`]: a line at least every 15 seconds where there is no dashboard, so that a log shows that a run goes on, and
//! where it is.

use crate::machine::environment::launched;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time without a line: a second less than promised, for a busy machine.
const SILENCE: Duration = Duration::from_secs(14);

/// The phase of this process that has a heartbeat.
static BEAT: Mutex<Option<Beat>> = Mutex::new(None);

/// Says where a phase is whenever nothing else was said for a while, until it is dropped.
///
/// A thread of its own waits for that: fits, timings of whole networks and fine-tuning call nobody back, and one step or one
/// accuracy of a large network may take longer than a line may.
pub struct Heartbeat(Option<(Sender<()>, JoinHandle<()>)>);

impl Heartbeat {
    /// The heartbeat of `phase`, of which a process has one at a time; none where the dashboard shows what happens.
    pub fn begin(phase: &str) -> Self {
        if has_screen() {
            return Self(None);
        }
        *beat() = Some(Beat::begin(phase, Instant::now()));
        let (end, ended) = mpsc::channel();
        Self(Some((end, std::thread::spawn(move || say_until(&ended)))))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        let Some((end, thread)) = self.0.take() else { return };
        drop(end);
        // It has nothing to panic about; if it did, the run goes on without it.
        drop(thread.join());
        *beat() = None;
    }
}

/// Notes where the phase is, if anybody will hear of it.
pub fn at(place: impl FnOnce() -> String) {
    if let Some(beat) = &mut *beat() {
        beat.place = place();
    }
}

/// One line for a log; the dashboard's screen is not open when it is used.
pub fn say(line: &str) {
    // A reader that closed the pipe (`| head`) is no reason to stop a run.
    drop(writeln!(std::io::stdout(), "{line}"));
    heard();
}

/// Whether there is a screen for the dashboard: a terminal, and not what `mpirun` gives a process.
pub(crate) fn has_screen() -> bool {
    std::io::stdout().is_terminal() && launched().is_none()
}

/// Notes that a line was printed.
pub(crate) fn heard() {
    if let Some(beat) = &mut *beat() {
        beat.last_line = Instant::now();
    }
}

fn beat() -> MutexGuard<'static, Option<Beat>> {
    BEAT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn say_until(ended: &Receiver<()>) {
    let mut wait = SILENCE;
    while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let due = beat().as_ref().map_or(Err(SILENCE), |beat| beat.due(Instant::now()));
        wait = due.map_or_else(
            |left| left,
            |line| {
                say(&line);
                SILENCE
            },
        );
    }
}

/// A phase and when it was last heard of.
struct Beat {
    phase: String,
    began: Instant,
    last_line: Instant,
    /// Where it is, as far as it says so.
    place: String,
}

impl Beat {
    fn begin(phase: &str, now: Instant) -> Self {
        Self { phase: phase.to_owned(), began: now, last_line: now, place: String::new() }
    }

    /// The line that is due, or how long none is.
    fn due(&self, now: Instant) -> Result<String, Duration> {
        let silent = now.duration_since(self.last_line);
        if silent < SILENCE {
            return Err(SILENCE - silent);
        }
        let colon = if self.place.is_empty() { "" } else { ": " };
        let minutes = now.duration_since(self.began).as_secs_f64() / 60.0;
        Ok(format!("{}, {minutes:.1} minutes so far{colon}{}", self.phase, self.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_when_nothing_was_said_for_fourteen_seconds() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut beat = Beat::begin("predictor", began);
        assert_eq!(beat.due(after(0)), Err(SILENCE));
        assert_eq!(beat.due(after(13)), Err(Duration::from_secs(1)));
        assert_eq!(beat.due(after(14)).unwrap(), "predictor, 0.2 minutes so far");
        // Another line puts it off.
        beat.last_line = after(10);
        assert_eq!(beat.due(after(14)), Err(Duration::from_secs(10)));
        beat.place = "step 3 of 8".into();
        assert_eq!(beat.due(after(90)).unwrap(), "predictor, 1.5 minutes so far: step 3 of 8");
    }

    #[test]
    fn no_fifteen_seconds_pass_without_a_line_however_steps_fall() {
        let began = Instant::now();
        let mut beat = Beat::begin("training", began);
        let (mut now, mut lines) = (began, vec![began]);
        // The thread sleeps as long as it is told, and others say something now and then.
        for step in 0_u64..200 {
            match beat.due(now) {
                Ok(_) => beat.last_line = now,
                Err(left) => now += left.min(Duration::from_secs(1 + step % 17)),
            }
            if step % 13 == 0 {
                beat.last_line = now;
            }
            lines.push(beat.last_line);
        }
        assert!(now - began > Duration::from_secs(600));
        assert!(lines.windows(2).all(|pair| pair[1] - pair[0] <= Duration::from_secs(15)));
    }
}
