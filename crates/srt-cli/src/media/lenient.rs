//! Addresses as srt-live-transmit takes them: what that tool ignores, or we express otherwise, is taken out before the address
//! is read.

use srt::SocketOption;

use super::links::is_group_address;
use super::udp;

/// Which end of the transfer an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It is read.
    Input,
    /// It is written.
    Output,
}

/// Keys of `srt://` that are no options of a socket.
const SRT_KEYS: [&str; 6] = ["mode", "adapter", "port", "bind", "timeout", "blocking"];

/// And of a group.
const GROUP_KEYS: [&str; 2] = ["type", "nodes"];

/// The address without the parameters that are not known, and their names, each once.
pub(crate) fn lenient(text: &str, side: Side) -> (String, Vec<String>) {
    let parts = text.split_once("://").zip(text.split_once('?'));
    let Some(((scheme, _), (place, query))) = parts else { return (text.to_owned(), Vec::new()) };
    let scheme = scheme.to_ascii_lowercase();
    let group = is_group_address(text);
    let known = |key: &str| match (scheme.as_str(), side) {
        ("srt", _) if group && GROUP_KEYS.contains(&key) => true,
        ("srt", _) => SRT_KEYS.contains(&key) || SocketOption::from_name(key).is_ok(),
        ("udp", _) => udp::UDP_KEYS.contains(&key),
        ("rtp", Side::Input) => udp::RTP_IN_KEYS.contains(&key),
        ("rtp", Side::Output) => udp::RTP_OUT_KEYS.contains(&key),
        // Media of our own, and paths.
        _ => true,
    };
    let (mut kept, mut ignored) = (Vec::new(), Vec::new());
    for item in query.split('&') {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let key = key.to_ascii_lowercase();
        match value {
            // As if nothing were said.
            "default" if scheme == "srt" && key == "mode" => {}
            _ if known(&key) || key.is_empty() => kept.push(item),
            _ if ignored.contains(&key) => {}
            _ => ignored.push(key),
        }
    }
    let query = kept.join("&");
    let text = if query.is_empty() { place.to_owned() } else { format!("{place}?{query}") };
    (text, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tool_would_ignore_is_taken_out_and_named_once() {
        let (text, ignored) = lenient("udp://:1?pkt_size=1316&ttl=2&PKT_SIZE=7&x", Side::Input);
        assert_eq!((text.as_str(), ignored), ("udp://:1?ttl=2", vec!["pkt_size".to_owned(), "x".to_owned()]));
        let (text, ignored) = lenient("srt://h:1?latency=20&transport=udp", Side::Output);
        assert_eq!((text.as_str(), ignored), ("srt://h:1?latency=20", vec!["transport".to_owned()]));
    }

    #[test]
    fn the_default_mode_is_as_if_nothing_were_said() {
        assert_eq!(lenient("srt://h:1?mode=default", Side::Input), ("srt://h:1".to_owned(), vec![]));
        let other = "srt://:1?mode=listener&latency=20";
        assert_eq!(lenient(other, Side::Input), (other.to_owned(), vec![]));
    }

    #[test]
    fn the_links_of_a_group_stay_as_they_are() {
        let group = "srt:////group?type=backup&nodes=h:1?weight=2,h:2&latency=20";
        assert_eq!(lenient(group, Side::Output), (group.to_owned(), vec![]));
        let (_, ignored) = lenient("srt://h:1?type=backup&nodes=h:2", Side::Output);
        assert_eq!(ignored, ["type", "nodes"]);
    }

    #[test]
    fn paths_and_media_of_our_own_stay_as_they_are() {
        for text in ["a?b=c", "file:///tmp/a?b=c", "test://?speed=1", "-", "rtp://:1?rtpheadersize=12"] {
            assert_eq!(lenient(text, Side::Input), (text.to_owned(), vec![]));
        }
    }
}
