//! `srt options` and `srt help options`: what an `srt://` address may say, from the library's one table.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use srt::{OptionInfo, SocketOption, Support, When};

const HEAD: &str = "\
What an srt:// address may say: srt://HOST:PORT?KEY=VALUE&KEY=VALUE

  srt://HOST:PORT        calls HOST
  srt://:PORT            listens on all interfaces; on one:
                         srt://ADDRESS:PORT?mode=listener
  mode=caller|listener   says it outright
  adapter=ADDRESS        calls from, or listens on, this local address
  workers=N              spreads a listener's port over N threads, for many Gb/s
  port=PORT              calls from this local port
  bind=ADDRESS:PORT      both in one

Several addresses behind srt send or srt receive are the links of one group.
Options of the stream stand in the first; a link may have its own of these:
  adapter=INTERFACE      by this network interface, as bindtodevice=INTERFACE
  bind=ADDRESS[:PORT]    from this local address
  weight=N               0 to 32767; a backup group prefers the highest
  bindtodevice, conntimeo, iptos, ipttl, ipv6only, kmpreannounce, kmrefreshrate,
  passphrase, pbkeylen, peeridletimeo, reuseaddr, udp_rcvbuf, udp_sndbuf
srt transmit takes a group as libsrt's tools write it, at the calling end:
  srt:////group?type=broadcast|backup|balancing&nodes=H:P?weight=2,H:P&KEY=VALUE

Options, with their allowed values and default. Those marked *
have their default alone in this version. Numbers may carry a unit: latency=1s,
maxbw=8Mbps, rcvbuf=8MB.

";

const FOOT: &str = "\
Quote addresses for the shell: 'srt://host:9000?latency=200&streamid=camera1'
A passphrase need not stand in an address, where all who may list the processes
see it: --passphrase-file FILE, or the variable SRT_PASSPHRASE.";

/// Where the words about an option begin.
const INDENT: usize = 23;
/// What a terminal has at least; wider lines would be broken without their indent.
const WIDTH: usize = 80;

/// The table as text.
pub(crate) fn option_table() -> String {
    let mut out = HEAD.to_owned();
    for info in SocketOption::all().filter(|info| is_for_uris(info)) {
        let mark = if info.support == Support::Now { ' ' } else { '*' };
        let name = format!("{}{mark}", info.name);
        let default = match info.default {
            "" => String::new(),
            text => format!("; default {text}"),
        };
        let (doc, allowed) = (plain(info.doc), info.allowed().replace("to 2147483647", "or more"));
        let words = wrapped(&doc).into_iter().chain(wrapped(&format!("{allowed}{default}")));
        for (line, words) in words.enumerate() {
            let name = if line == 0 { name.as_str() } else { "" };
            writeln!(out, "  {name:<20} {words}").expect("a String takes everything");
        }
    }
    out.push('\n');
    out.push_str(FOOT);
    out
}

/// A text in lines that fit behind the names.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() < WIDTH - INDENT => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A line of rustdoc without its links: of a bracketed text with a path in parentheses, the text.
fn plain(doc: &str) -> String {
    let mut out = String::with_capacity(doc.len());
    let mut rest = doc;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((text, after)) =
            link.split_once("](").and_then(|(text, path)| Some((text, path.split_once(')')?.1)))
        else {
            break;
        };
        out.push_str(before);
        out.push_str(text);
        rest = after;
    }
    out + rest
}

/// Facts of a socket cannot be set; whether calls wait is settled by the program itself.
fn is_for_uris(info: &OptionInfo) -> bool {
    let own = [SocketOption::SndSyn, SocketOption::RcvSyn, SocketOption::SndTimeo, SocketOption::RcvTimeo];
    info.when != When::ReadOnly && !own.contains(&info.option)
}

/// Prints the table on stdout; a reader that has seen enough is no fault.
pub(crate) fn run() {
    let _ = writeln!(io::stdout(), "{}", option_table());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_rustdoc_are_shown_as_their_text() {
        assert_eq!(plain("see [`StreamId`](super::StreamId)."), "see `StreamId`.");
        assert_eq!(plain("a [bracket] and no link"), "a [bracket] and no link");
    }

    #[test]
    fn every_option_of_an_address_is_listed_with_its_range_and_default() {
        let table = option_table();
        for info in SocketOption::all() {
            let listed = table.lines().any(|line| {
                let name = line.trim_start().split([' ', '*']).next();
                line.starts_with("  ") && name == Some(info.name)
            });
            assert_eq!(listed, is_for_uris(info), "{}", info.name);
        }
        assert!(table.contains("0 or more ms; default 3000"), "{table}");
        assert!(table.contains("  passphrase  ") && table.contains("  packetfilter*"), "{table}");
        assert!(table.contains("at least 32 packets"), "what the buffer becomes: {table}");
        let (mark, first) = (table.find("marked *").unwrap(), table.find("\n  mss").unwrap());
        assert!(mark < first, "the mark is explained before it is used");
    }

    #[test]
    fn the_table_fits_a_narrow_terminal_with_its_indent() {
        let table = option_table();
        let options = table.split_once("rcvbuf=8MB.").unwrap().1;
        assert!(HEAD.lines().chain(FOOT.lines()).all(|line| line.chars().count() <= WIDTH), "{table}");
        for line in options.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() < WIDTH, "{line}");
            assert!(
                line.chars().nth(INDENT - 1) == Some(' ') && line.chars().nth(INDENT) != Some(' '),
                "{line}"
            );
        }
    }
}
