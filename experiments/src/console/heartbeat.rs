//! [`Heartbeat`]: without a dashboard, prints a line at least every 15 seconds, so the log shows that a run is alive
//! and where it is.

use crate::machine::environment::launched;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time without a line: a second less than promised, as slack for a busy machine.
const SILENCE: Duration = Duration::from_secs(14);

/// The current phase of this process, if it has a heartbeat.
static BEAT: Mutex<Option<Beat>> = Mutex::new(None);

/// Until dropped, prints the progress of a phase whenever nothing else has been printed for a while.
///
/// It runs on its own thread: fits, timings of whole networks and fine-tuning have no callbacks, and a single step or
/// accuracy of a large network may take longer than 15 seconds.
pub struct Heartbeat(Option<(Sender<()>, JoinHandle<()>)>);

impl Heartbeat {
    /// Starts the heartbeat of `phase`; a process has one at a time. Does nothing where the dashboard is shown.
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
        // If the thread ever panicked, the run would continue without it.
        drop(thread.join());
        *beat() = None;
    }
}

/// Sets the progress text of the phase; `place` is evaluated only if there is a heartbeat.
pub fn at(place: impl FnOnce() -> String) {
    if let Some(beat) = &mut *beat() {
        beat.place = place();
    }
}

/// Prints a log line. Call it only while the dashboard's screen is closed.
pub fn say(line: &str) {
    // A closed pipe (`| head`) must not stop a run.
    drop(writeln!(std::io::stdout(), "{line}"));
    heard();
}

/// Whether the dashboard can be shown: on a terminal, unless a launcher such as `mpirun` started this process.
pub(crate) fn has_screen() -> bool {
    std::io::stdout().is_terminal() && launched().is_none()
}

/// Records that a line was printed.
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

/// A phase and the time of its last line.
struct Beat {
    phase: String,
    began: Instant,
    last_line: Instant,
    /// Progress within the phase; empty if it reports none.
    place: String,
}

impl Beat {
    fn begin(phase: &str, now: Instant) -> Self {
        Self { phase: phase.to_owned(), began: now, last_line: now, place: String::new() }
    }

    /// The line that is due, or the time until one is.
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
        // Another line postpones it.
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
        // The thread sleeps as long as it is told; other code prints a line now and then.
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
