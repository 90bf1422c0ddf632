//! `srt options` and `srt help options`: what an `srt://` address may say, from the library's one table.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use srt::{OptionInfo, SocketOption, Support, When};

const HEAD: &str = "\
What an srt:// address may say: srt://HOST:PORT?KEY=VALUE&KEY=VALUE

  srt://HOST:PORT        calls HOST
  srt://:PORT            listens on all interfaces (srt://ADDRESS:PORT?mode=listener: on one)
  mode=caller|listener   says it outright
  adapter=ADDRESS        calls from, or listens on, this local address
  port=PORT              calls from this local port
  bind=ADDRESS:PORT      both in one

Options, with their allowed values and default:
";

const FOOT: &str = "\
Options marked * have their default alone in this version. Numbers may carry a unit: latency=1s, maxbw=8Mbps, rcvbuf=8MB.
Quote addresses for the shell: 'srt://host:9000?latency=200&streamid=camera1'";

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
        writeln!(out, "  {name:<20} {doc}\n{:23}{allowed}{default}", "").expect("a String takes everything");
    }
    out.push('\n');
    out.push_str(FOOT);
    out
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
        assert!(table.contains("0 to 65535 ms; default 120"), "{table}");
        assert!(table.contains("  passphrase*"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 160), "{table}");
    }
}
