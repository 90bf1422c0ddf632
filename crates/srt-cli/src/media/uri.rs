//! Addresses of media: `SCHEME://HOST:PORT/PATH?KEY=VALUE&…`, a bare path, or `-`.

use crate::error::{UriFault, UriProblem};

/// An address taken apart; values are percent-decoded. `srt://` addresses are only recognised here, the library reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaUri {
    /// As it was given.
    pub(crate) text: String,
    /// Which medium.
    pub(crate) scheme: Scheme,
    /// Without brackets; empty when left out.
    pub(crate) host: String,
    /// As text, `None` when left out.
    port: Option<String>,
    /// For files; with percent signs as they are, for a path may contain them.
    pub(crate) path: String,
    parameters: Vec<(String, String)>,
}

/// The media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `srt://`
    Srt,
    /// `udp://`
    Udp,
    /// `rtp://`
    Rtp,
    /// `file://` or a bare path
    File,
    /// `-`, `file://con`, `file://console`, `file://-`
    Stdio,
    /// `test://`
    Test,
    /// `null://`
    Null,
}

impl MediaUri {
    /// Takes an address apart.
    ///
    /// # Errors
    /// An unknown medium, or a host or query that cannot be read.
    pub(crate) fn parse(text: &str) -> Result<Self, UriFault> {
        let fault = |problem| UriFault { uri: masked(text), problem };
        let mut uri = Self {
            text: text.to_owned(),
            scheme: Scheme::File,
            host: String::new(),
            port: None,
            path: String::new(),
            parameters: Vec::new(),
        };
        if text.is_empty() {
            return Err(fault(UriProblem::Empty));
        }
        if text == "-" {
            uri.scheme = Scheme::Stdio;
            return Ok(uri);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            text.clone_into(&mut uri.path);
            return Ok(uri);
        };
        uri.scheme = match scheme.to_ascii_lowercase().as_str() {
            "srt" => Scheme::Srt,
            "udp" => Scheme::Udp,
            "rtp" => Scheme::Rtp,
            "file" => Scheme::File,
            "test" => Scheme::Test,
            "null" => Scheme::Null,
            _ => return Err(fault(UriProblem::Scheme(scheme.to_owned()))),
        };
        if uri.scheme == Scheme::File {
            if matches!(rest, "con" | "console" | "-") {
                uri.scheme = Scheme::Stdio;
            } else if rest.is_empty() {
                return Err(fault(UriProblem::Empty));
            }
            rest.clone_into(&mut uri.path);
            return Ok(uri);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
        path.clone_into(&mut uri.path);
        // "@" before a multicast group is what libsrt's tool and VLC write.
        let authority = authority.strip_prefix('@').unwrap_or(authority);
        let (host, port) =
            split_port(authority).ok_or_else(|| fault(UriProblem::Host(masked_place(authority))))?;
        uri.host = host.to_owned();
        uri.port = port.map(str::to_owned);
        uri.parameters = query
            .split('&')
            .filter(|item| !item.is_empty())
            .map(|item| item.split_once('=').unwrap_or((item, "")))
            .map(|(key, value)| (key.to_ascii_lowercase(), percent_decode(value)))
            .collect();
        Ok(uri)
    }

    /// The port.
    ///
    /// # Errors
    /// When it was left out or is no number from 1 to 65535.
    pub(crate) fn port(&self) -> Result<u16, UriFault> {
        let text = self.port.as_deref().filter(|port| !port.is_empty());
        let text = text.ok_or_else(|| {
            let scheme = self.text.split("://").next().unwrap_or_default();
            self.fault(UriProblem::NoPort(scheme.to_ascii_lowercase()))
        })?;
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| self.fault(UriProblem::Port(masked_place(text))))
    }

    /// The value of a parameter; the last one when it stands there twice.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters that the medium does not know.
    ///
    /// # Errors
    /// The first such, with the list of the known.
    pub(crate) fn allow(&self, keys: &[&str], known: &'static str) -> Result<(), UriFault> {
        match self.parameters.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
            Some((key, _)) => Err(self.fault(UriProblem::UnknownKey { key: key.clone(), known })),
            None => Ok(()),
        }
    }

    /// A whole number within `min..=max`, when the parameter is given.
    ///
    /// # Errors
    /// No number, or beyond the bounds; `allowed` says them.
    pub(crate) fn number(
        &self,
        key: &str,
        (min, max): (u32, u32),
        allowed: &'static str,
    ) -> Result<Option<u32>, UriFault> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.parse::<u32>().ok().filter(|number| (min..=max).contains(number));
        number.map(Some).ok_or_else(|| self.wrong(key, value, allowed))
    }

    /// The fault of one parameter's value.
    pub(crate) fn wrong(&self, key: &str, value: &str, allowed: &'static str) -> UriFault {
        self.fault(UriProblem::Value { key: key.to_owned(), value: shortened(value), allowed })
    }

    /// A fault of this address.
    pub(crate) fn fault(&self, problem: UriProblem) -> UriFault {
        UriFault { uri: masked(&self.text), problem }
    }
}

/// `host:port`, `[v6]:port`, either part may be missing. `None` when brackets do not match or a colon stands in a bare host.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

/// The address as messages repeat it: a passphrase hidden, long values cut. A path stays as it is.
pub(crate) fn masked(text: &str) -> String {
    if !text.contains("://") {
        return text.to_owned();
    }
    match text.split_once('?') {
        Some((place, query)) => format!("{}?{}", masked_place(place), masked_query(query)),
        None => masked_place(text),
    }
}

/// As [`masked`], of what stands before the `?`: parameters if the mark was forgotten.
fn masked_place(place: &str) -> String {
    match place.split_once('&') {
        Some((place, query)) => format!("{place}&{}", masked_query(query)),
        None => place.to_owned(),
    }
}

fn masked_query(query: &str) -> String {
    query.split('&').map(masked_pair).collect::<Vec<_>>().join("&")
}

/// As [`masked`], of one `KEY=VALUE`.
pub(crate) fn masked_pair(item: &str) -> String {
    match item.split_once('=') {
        // The links of a group have parameters of their own.
        Some((key, value)) if key.eq_ignore_ascii_case("nodes") => {
            let node = |node: &str| node.split('?').map(masked_pair).collect::<Vec<_>>().join("?");
            format!("{key}={}", value.split(',').map(node).collect::<Vec<_>>().join(","))
        }
        Some((key, _)) if percent_decode(key).to_ascii_lowercase().contains("pass") => format!("{key}=***"),
        Some((key, value)) => format!("{}={}", shortened(key), shortened(value)),
        None => shortened(item),
    }
}

/// A value as messages repeat it.
fn shortened(value: &str) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// Most characters of a value that a message repeats.
const LONGEST_VALUE: usize = 40;

/// `%20` becomes a space; what is no escape stays as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = |place: usize| tail.get(place).and_then(|digit| char::from(*digit).to_digit(16));
        if first == b'%'
            && let (Some(high), Some(low)) = (hex(0), hex(1))
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        MediaUri::parse(text).and_then(|uri| uri.port().map(|_| ())).unwrap_err().to_string()
    }

    #[test]
    fn every_medium_is_known_by_its_scheme() {
        let cases = [
            ("srt://host:9000?latency=200", Scheme::Srt),
            ("UDP://:1234", Scheme::Udp),
            ("rtp://@239.0.0.1:5004", Scheme::Rtp),
            ("file:///tmp/a.ts", Scheme::File),
            ("a.ts", Scheme::File),
            ("C:\\video\\a.ts", Scheme::File),
            ("-", Scheme::Stdio),
            ("file://con", Scheme::Stdio),
            ("test://?rate=8M", Scheme::Test),
            ("null://", Scheme::Null),
        ];
        for (text, scheme) in cases {
            assert_eq!(MediaUri::parse(text).unwrap().scheme, scheme, "{text}");
        }
    }

    #[test]
    fn files_keep_their_path_as_it_is() {
        assert_eq!(MediaUri::parse("file:///tmp/50%25?a=b.ts").unwrap().path, "/tmp/50%25?a=b.ts");
        assert_eq!(MediaUri::parse("file://rel/a.ts").unwrap().path, "rel/a.ts");
        assert_eq!(MediaUri::parse("./a b.ts").unwrap().path, "./a b.ts");
    }

    #[test]
    fn host_port_and_parameters_are_taken_apart() {
        let uri = MediaUri::parse("udp://[ff02::1]:5000?ttl=3&source=a%20b&TTL=4&loop").unwrap();
        assert_eq!((uri.host.as_str(), uri.port()), ("ff02::1", Ok(5000)));
        assert_eq!(uri.value("ttl"), Some("4"));
        assert_eq!(uri.value("source"), Some("a b"));
        assert_eq!(uri.value("loop"), Some(""));
        assert_eq!(uri.value("adapter"), None);
        let group = MediaUri::parse("udp://@239.1.2.3:5000").unwrap();
        assert_eq!(group.host, "239.1.2.3");
    }

    #[test]
    fn faults_name_the_address_and_the_mend() {
        assert_eq!(
            problem("rtmp://host/app"),
            "rtmp://host/app: unknown medium \"rtmp\"; use srt, udp, rtp, file, test, null, or - for stdin/stdout"
        );
        assert_eq!(problem("udp://host"), "udp://host: has no port; write udp://HOST:PORT");
        assert_eq!(problem("udp://host:"), "udp://host:: has no port; write udp://HOST:PORT");
        assert_eq!(problem("udp://host:0"), "udp://host:0: \"0\" is no port; use 1 to 65535");
        assert_eq!(problem("udp://host:70000"), "udp://host:70000: \"70000\" is no port; use 1 to 65535");
        for wrong in ["udp://[::1:5000", "udp://::1:5000", "udp://[::1]5000"] {
            assert!(
                problem(wrong).contains("is no host; write a name, an IPv4 address or [IPv6]"),
                "{wrong}"
            );
        }
        assert!(problem("").contains("is empty"));
        assert!(problem("file://").contains("is empty"));
    }

    #[test]
    fn unknown_parameters_and_numbers_out_of_range_are_refused() {
        let uri = MediaUri::parse("udp://host:1?ttl=0&tos=1").unwrap();
        assert_eq!(
            uri.allow(&["ttl"], "ttl").unwrap_err().to_string(),
            "udp://host:1?ttl=0&tos=1: unknown parameter \"tos\"; this medium knows ttl"
        );
        assert_eq!(
            uri.number("ttl", (1, 255), "1 to 255").unwrap_err().problem.to_string(),
            "ttl=0 is not possible; allowed: 1 to 255"
        );
        assert_eq!(uri.number("tos", (0, 255), "0 to 255"), Ok(Some(1)));
        assert_eq!(uri.number("other", (0, 255), "0 to 255"), Ok(None));
    }

    #[test]
    fn a_passphrase_is_never_shown() {
        assert_eq!(
            masked("srt://h:1?latency=20&Passphrase=secret&x=y"),
            "srt://h:1?latency=20&Passphrase=***&x=y"
        );
        assert_eq!(masked("srt://h:1"), "srt://h:1");
        assert_eq!(masked("srt://h:1?p%61ssphrase=secret&pass=x"), "srt://h:1?p%61ssphrase=***&pass=***");
        assert_eq!(masked("srt://h:1&passphrase=secret?x=y"), "srt://h:1&passphrase=***?x=y");
        assert_eq!(masked_pair("passphrase=secret"), "passphrase=***");
        assert_eq!(
            masked("srt:////group?nodes=h:1?srto.passphrase=secret?weight=2,h:2&latency=20"),
            "srt:////group?nodes=h:1?srto.passphrase=***?weight=2,h:2&latency=20"
        );
        for wrong in [
            "udp://h:1?passphrase=secret",
            "rtmp://h?passphrase=secret",
            "udp://h:1&passphrase=secret",
            "udp://a:b:1&passphrase=secret",
        ] {
            let fault = MediaUri::parse(wrong)
                .and_then(|uri| uri.port().map(|_| uri))
                .and_then(|uri| uri.allow(&["ttl"], "ttl"));
            assert!(!fault.unwrap_err().to_string().contains("secret"));
        }
    }

    #[test]
    fn long_values_are_cut_in_messages_and_paths_are_not() {
        let (long, cut) = ("x".repeat(513), "x".repeat(40));
        assert_eq!(
            masked(&format!("srt://h:1?streamid={long}&a=b")),
            format!("srt://h:1?streamid={cut}…&a=b")
        );
        assert_eq!(masked(&format!("/tmp/{long}?{long}")), format!("/tmp/{long}?{long}"));
    }

    #[test]
    fn percent_signs_that_escape_nothing_stay() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%e2%82%ac"), "€");
    }
}
