//! What is shown while the demo runs: on a terminal a picture of the links, drawn over and over in place, elsewhere a line now
//! and then; in both, what happens when it happens.

use std::time::{Duration, Instant};

use srt::{GroupEvent, LinkReport, LinkState, SrtGroup};

use super::links::Links;
use crate::talk::Talk;
use crate::units::{rate_of, show_count, show_rate};

/// How often the picture changes.
const LIVE_EVERY: Duration = Duration::from_millis(250);
/// Lines in all, where there is no picture.
const LINES: u32 = 10;
const SHORTEST_LINE: Duration = Duration::from_secs(1);
/// Letters of a bar.
const BAR: usize = 16;

/// Watches the group and tells.
pub(super) struct Picture<'a> {
    talk: &'a Talk,
    links: &'a Links,
    group: &'a SrtGroup,
    every: Duration,
    began: Instant,
    began_at: srt::Instant,
    drawn: Instant,
    told_cut: bool,
    told_mended: bool,
    /// The figures when it was drawn last.
    then: Vec<LinkReport>,
    offered: u64,
    /// The newest figures of all links.
    pub(super) last: Vec<LinkReport>,
}

/// What is lost so far, in messages, and offered.
pub(super) struct Tally {
    pub(super) offered: u64,
    pub(super) bonded: u64,
    pub(super) alone: Vec<u64>,
}

impl<'a> Picture<'a> {
    /// The stream begins now.
    pub(super) fn begin(talk: &'a Talk, links: &'a Links, group: &'a SrtGroup, duration: Duration) -> Self {
        let now = Instant::now();
        let every = if talk.is_live() { LIVE_EVERY } else { (duration / LINES).max(SHORTEST_LINE) };
        Self {
            talk,
            links,
            group,
            every,
            began: now,
            began_at: srt::time_now(),
            drawn: now,
            told_cut: false,
            told_mended: false,
            then: group.links(),
            offered: 0,
            last: group.links(),
        }
    }

    /// Time since the stream began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells what has happened, and draws when it is time. `streams`: whether the stream still goes on.
    pub(super) fn look(&mut self, tally: impl FnOnce() -> Tally, streams: bool) {
        self.tell_cut();
        self.tell_events(streams);
        let now = self.group.links();
        let sent = |links: &[LinkReport]| links.iter().map(|link| link.counters.sent_packets).sum::<u64>();
        // A group that is closed has no links.
        if sent(&now) < sent(&self.last) {
            return;
        }
        self.last = now;
        let span = self.drawn.elapsed();
        if streams && span >= self.every {
            self.draw(&tally(), span);
        }
    }

    fn tell_cut(&mut self) {
        let Some(cut) = self.links.cut else { return };
        let (elapsed, number) = (self.elapsed(), cut.link + 1);
        if !self.told_cut && elapsed >= cut.at {
            self.told_cut = true;
            self.tell(elapsed, &format!("the demo cuts link {number}"));
        }
        if !self.told_mended && elapsed >= cut.at + cut.length {
            self.told_mended = true;
            self.tell(elapsed, &format!("the demo mends link {number}"));
        }
    }

    fn tell_events(&self, streams: bool) {
        while let Some((at, event)) = self.group.try_event() {
            // After the stream all links end, which is no news.
            if let Some(words) = words_of_event(&event).filter(|_| streams) {
                self.tell(at.saturating_since(self.began_at).into(), &words);
            }
        }
    }

    fn tell(&self, at: Duration, words: &str) {
        self.talk.say(format!("{:>6.1} s  {words}", at.as_secs_f64()));
    }

    fn draw(&mut self, tally: &Tally, span: Duration) {
        let elapsed = self.elapsed();
        let offered = tally.offered.saturating_sub(self.offered);
        let rows = self.last.iter().enumerate().map(|(link, now)| {
            let was = self.then.iter().find(|then| then.id == now.id);
            Row::of(now, was, offered, span, self.links.is_cut(link, elapsed))
        });
        let rows: Vec<Row> = rows.collect();
        let seconds = elapsed.as_secs_f64();
        if self.talk.is_live() {
            self.talk.live(picture(seconds, &rows, tally));
        } else {
            self.talk.say(line(seconds, &rows, tally));
        }
        (self.drawn, self.offered) = (Instant::now(), tally.offered);
        self.then.clone_from(&self.last);
    }
}

/// One link as it is shown.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    number: u32,
    state: &'static str,
    /// Of the stream's packets, in percent; more than 100 where packets are sent again.
    share: u64,
    rate: u64,
    /// In µs, where it is up.
    rtt: Option<u64>,
    loss: u32,
    cut: bool,
}

impl Row {
    fn of(now: &LinkReport, was: Option<&LinkReport>, offered: u64, span: Duration, cut: bool) -> Self {
        let since = |figure: fn(&LinkReport) -> u64| figure(now).saturating_sub(was.map_or(0, figure));
        let packets = since(|link| link.counters.sent_packets);
        let up = !matches!(now.state, LinkState::Down | LinkState::Connecting);
        Self {
            number: now.id.value(),
            state: now.state.name(),
            share: (packets * 100).checked_div(offered).unwrap_or(0),
            rate: rate_of(since(|link| link.counters.sent_bytes), span),
            rtt: up.then(|| now.rtt.as_micros()),
            loss: now.loss_percent,
            cut,
        }
    }

    fn rtt(&self) -> String {
        self.rtt.map_or_else(|| "-".to_owned(), |rtt| format!("{} ms", rtt / 1_000))
    }
}

fn picture(seconds: f64, rows: &[Row], tally: &Tally) -> String {
    let mut lines = vec![format!(
        "{seconds:>6.1} s  lost to the viewer: {}; {}",
        show_count(tally.bonded),
        words_of_alone(tally)
    )];
    lines.extend(rows.iter().map(|row| {
        format!(
            "  link {}  {:<10} {} {:>3} %  {:>10}  RTT {:>7}  {}",
            row.number,
            row.state,
            bar(row.share),
            row.share,
            show_rate(row.rate),
            row.rtt(),
            if row.cut { "cut".to_owned() } else { format!("loss {:>2} %", row.loss) }
        )
    }));
    lines.join("\n")
}

fn line(seconds: f64, rows: &[Row], tally: &Tally) -> String {
    let links = rows.iter().map(|row| {
        let number = row.number;
        let cut = if row.cut { " (cut)" } else { "" };
        format!("{number} {}{cut} {} % {} {}", row.state, row.share, show_rate(row.rate), row.rtt())
    });
    let links: Vec<String> = links.collect();
    format!("{seconds:>6.1} s  {} | lost {}", links.join(" | "), show_count(tally.bonded))
}

fn words_of_alone(tally: &Tally) -> String {
    let counts: Vec<String> = tally.alone.iter().map(|lost| show_count(*lost)).collect();
    format!("by each link alone: {}", counts.join(", "))
}

fn bar(percent: u64) -> String {
    let full = (usize::try_from(percent).unwrap_or(100).min(100) * BAR + 50) / 100;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// What is worth telling of an event.
fn words_of_event(event: &GroupEvent) -> Option<String> {
    Some(match event {
        GroupEvent::LinkUp(link) => format!("link {link} is up"),
        GroupEvent::LinkUnstable(link, why) => format!("link {link} is in doubt: {why}"),
        GroupEvent::LinkStable(link) => format!("link {link} is as it should be again"),
        GroupEvent::LinkDown(link, why) => format!("link {link} is down: {why}"),
        GroupEvent::Switched(Some(from), to) => format!("switched from link {from} to link {to}"),
        GroupEvent::Switched(None, to) => format!("switched to link {to}"),
        GroupEvent::LinkActive(link) => format!("link {link} carries the stream"),
        GroupEvent::LinkIdle(link) => format!("link {link} waits"),
        GroupEvent::AllDown => "no link is left".to_owned(),
        GroupEvent::Resumed => "there is a link again".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row { number: 2, state: "active", share: 45, rate: 3_200_000, rtt: Some(71_400), loss: 1, cut: false }
    }

    fn tally() -> Tally {
        Tally { offered: 9_000, bonded: 0, alone: vec![1_204, 412] }
    }

    #[test]
    fn the_picture_has_a_row_for_each_link() {
        let dead = Row { number: 1, state: "down", share: 0, rate: 0, rtt: None, loss: 0, cut: true };
        assert_eq!(
            picture(12.34, &[dead, row()], &tally()),
            "  12.3 s  lost to the viewer: 0; by each link alone: 1,204, 412\n\
             \x20 link 1  down       ░░░░░░░░░░░░░░░░   0 %       0 b/s  RTT       -  cut\n\
             \x20 link 2  active     ███████░░░░░░░░░  45 %    3.2 Mb/s  RTT   71 ms  loss  1 %"
        );
    }

    #[test]
    fn without_a_terminal_it_is_one_line() {
        assert_eq!(line(4.0, &[row()], &tally()), "   4.0 s  2 active 45 % 3.2 Mb/s 71 ms | lost 0");
    }

    #[test]
    fn bars_are_of_one_length() {
        for percent in [0, 2, 3, 50, 98, 100, 350, u64::MAX] {
            assert_eq!(bar(percent).chars().count(), BAR, "{percent}");
        }
        assert!(bar(100).chars().all(|letter| letter == '█') && !bar(2).contains('█'));
    }
}
