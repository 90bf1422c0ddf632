//! `srt://` URIs, as libsrt's tools and ffmpeg read them.

use std::{fmt, net::SocketAddr, str::FromStr};

use srt_protocol::config::{ConfigError, SocketOption};
use zeroize::Zeroizing;

use crate::{
    Error, Options, SrtListener, SrtSocket,
    address::{sealed::ToTarget as _, try_each},
};

/// Who begins: which side of a connection a URI means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// We call the host of the URI.
    Caller,
    /// We wait for callers, at the host and port of the URI.
    Listener,
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Caller => "caller",
            Self::Listener => "listener",
        })
    }
}

/// An address with options as text: `srt://host:port?key=value&key=value`.
///
/// | part | means |
/// |---|---|
/// | `srt://host:port` | calls the host; IPv6 addresses stand in brackets |
/// | `srt://:port` | listens on all IPv4 addresses |
/// | `mode=caller`, `mode=listener` | says so, whatever the host: `srt://192.0.2.1:9000?mode=listener` |
/// | `workers=n` | a listener's port is spread over so many workers, 1 to 256 ([`Options::workers`]) |
/// | `adapter=ip` | our own address, for a caller (say `mode=caller` as well) or a listener |
/// | `port=number` | our own port, for a caller |
/// | `bind=ip:port` | both at once |
/// | `timeout=ms` | SNDTIMEO and RCVTIMEO |
/// | `blocking=0` | SNDSYN and RCVSYN off |
/// | `latency=ms` and so on | every `SRTO_*` option by its name in lower case |
///
/// Values may hold `%xx` for any byte; `#` and `=` need no such care, so a stream ID can stand as it is:
/// `streamid=#!::r=camera1,m=publish`.
///
/// ```
/// use srt::{Mode, SrtUri};
///
/// let uri: SrtUri = "srt://media.example.com:9000?latency=200&streamid=#!::r=camera1".parse()?;
/// assert_eq!((uri.mode(), uri.host(), uri.port()), (Mode::Caller, Some("media.example.com"), 9000));
/// assert_eq!(uri.options().config().stream_id(), b"#!::r=camera1");
///
/// let error = "srt://:9000?latancy=200".parse::<SrtUri>().unwrap_err();
/// assert_eq!(error.to_string(), "srt:// key `latancy` is not known; did you mean `latency`?");
/// # Ok::<(), srt::UriError>(())
/// ```
#[derive(Clone)]
pub struct SrtUri {
    mode: Mode,
    host: Option<String>,
    port: u16,
    adapter: Option<String>,
    local_port: Option<u16>,
    options: Options,
    /// The options that the text names.
    named: Vec<SocketOption>,
    extra: Vec<(String, String)>,
    /// The text as it was given, but for secrets.
    text: String,
}

/// Why a URI was refused: names the part and the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It is another kind of URI, or none.
    #[error("`{0}` is no SRT address: it has to begin with srt://")]
    NotSrt(String),
    /// Host or port cannot be read.
    #[error("srt:// address `{text}`: {why}")]
    Address {
        /// What stands between `srt://` and the options.
        text: String,
        /// What is wrong with it, and the mend.
        why: &'static str,
    },
    /// There is no option of this name.
    #[error("srt:// key `{key}` is not known{}", hint.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownKey {
        /// The name as given.
        key: String,
        /// The nearest name that is known, if one is near.
        hint: Option<String>,
    },
    /// The value of a key that is not an SRT option cannot be used.
    #[error("srt:// key `{key}`: `{value}` {why}")]
    Value {
        /// The key.
        key: String,
        /// The value as given.
        value: String,
        /// What is wrong with it, and the mend.
        why: &'static str,
    },
    /// An SRT option was refused.
    #[error("srt:// option {0}")]
    Option(#[from] ConfigError),
    /// The URI means the other side of a connection than it is used for.
    #[error("`{text}` is a {mode}'s address; add mode={wanted}")]
    OtherMode {
        /// The URI.
        text: String,
        /// What it means.
        mode: Mode,
        /// What was wanted.
        wanted: Mode,
    },
}

impl SrtUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`UriError`] names the part that is wrong, and the mend.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        Self::parse_with(text, &[])
    }

    /// Reads a URI that may also have the keys named in `extra_keys`, which are the program's own: [`extra`](Self::extra)
    /// gives their values.
    ///
    /// # Errors
    /// [`UriError`] names the part that is wrong, and the mend.
    pub fn parse_with(text: &str, extra_keys: &[&str]) -> Result<Self, UriError> {
        let text = text.trim();
        let scheme = text.get(..SCHEME.len()).filter(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
        let rest = scheme
            .map(|_| &text[SCHEME.len()..])
            .ok_or_else(|| UriError::NotSrt(quoted(&without_secrets(text))))?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, port) = host_and_port(address)?;

        let mut keys = Keys { extra_keys, ..Keys::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            keys.take(decode(key, key)?, decode(key, value)?)?;
        }
        let Keys { mode, adapter, local_port, workers, options: pairs, extra, .. } = keys;
        let named = pairs.iter().filter_map(|(key, _)| SocketOption::from_name(key).ok()).collect();
        let mut options = Options::new();
        options.config_mut().set_all_text(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;

        if let Some(workers) = workers {
            options = options.workers(workers);
        }
        let mode = match (mode, &host) {
            (Some(mode), _) => mode,
            (None, None) => Mode::Listener,
            (None, Some(_)) if adapter.is_some() => {
                // libsrt's tools take this for a rendezvous; another meaning would surprise whoever comes from there.
                let value = adapter.unwrap_or_default();
                let why = "together with a host and no mode means rendezvous, which is not supported yet; add mode=caller";
                return Err(UriError::Value { key: "adapter".to_owned(), value, why });
            }
            (None, Some(_)) => Mode::Caller,
        };
        if mode == Mode::Caller && host.is_none() {
            let why = "a caller needs a host: write srt://host:port";
            return Err(UriError::Address { text: quoted(&without_secrets(address)), why });
        }
        if mode == Mode::Listener
            && let Some(local_port) = local_port.filter(|&local_port| local_port != port)
        {
            let why = "is a caller's own port; a listener's stands behind the host: srt://:port";
            return Err(UriError::Value { key: "port".to_owned(), value: local_port.to_string(), why });
        }
        Ok(Self { mode, host, port, adapter, local_port, options, named, extra, text: without_secrets(text) })
    }

    /// Whether we call or listen.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The host: whom to call, or where to listen. IPv6 addresses without brackets.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port behind the host.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Our own address, if `adapter` or `bind` gives one.
    #[must_use]
    pub fn adapter(&self) -> Option<&str> {
        self.adapter.as_deref()
    }

    /// Our own port as a caller, if `port` or `bind` gives one.
    #[must_use]
    pub const fn local_port(&self) -> Option<u16> {
        self.local_port
    }

    /// The SRT options.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The SRT options, to be changed.
    pub const fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Whether the URI says a value for this option, be it the default: what a program knows from elsewhere may stand in for
    /// what the URI leaves open.
    ///
    /// ```
    /// use srt::{SocketOption, SrtUri};
    ///
    /// let mut uri: SrtUri = "srt://media.example.com:9000?latency=200".parse()?;
    /// if !uri.names(SocketOption::Passphrase) {
    ///     uri.options_mut().set(SocketOption::Passphrase, "from a place that nobody sees")?;
    /// }
    /// # Ok::<(), srt::Error>(())
    /// ```
    #[must_use]
    pub fn names(&self, option: SocketOption) -> bool {
        self.named.contains(&option)
    }

    /// The value of one of the program's own keys, as given to [`parse_with`](Self::parse_with); the last one of several.
    #[must_use]
    pub fn extra(&self, key: &str) -> Option<&str> {
        self.extra.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Every address to call, looked up now.
    ///
    /// # Errors
    /// [`Error::Resolve`] if the host is not known; [`Error::Uri`] for a listener's URI.
    pub fn remote_addrs(&self) -> Result<Vec<SocketAddr>, Error> {
        self.check_mode(Mode::Caller)?;
        (self.host.as_deref().unwrap_or_default(), self.port).target().resolve()
    }

    /// Our own address, looked up now: where to listen, or where to call from, `None` for a caller that does not care.
    ///
    /// # Errors
    /// [`Error::Resolve`] if the adapter is not known.
    pub fn local_addr(&self) -> Result<Option<SocketAddr>, Error> {
        Ok(self.local_addrs()?.first().copied())
    }

    fn local_addrs(&self) -> Result<Vec<SocketAddr>, Error> {
        let (host, port) = match self.mode {
            Mode::Caller if self.adapter.is_none() && self.local_port.is_none() => return Ok(Vec::new()),
            Mode::Caller => (self.adapter.as_deref(), self.local_port.unwrap_or(0)),
            Mode::Listener => (self.adapter.as_deref().or(self.host.as_deref()), self.port),
        };
        (host.unwrap_or("0.0.0.0"), port).target().resolve()
    }

    /// Where to call `remote` from, if that matters: the address of ours that has the same IP version.
    ///
    /// # Errors
    /// [`Error::Resolve`] if the adapter is not known.
    pub fn local_addr_for(&self, remote: SocketAddr) -> Result<Option<SocketAddr>, Error> {
        let locals = self.local_addrs()?;
        if self.adapter.is_none() && remote.is_ipv6() {
            // A port alone goes with either version.
            let any = |local: &SocketAddr| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, local.port()));
            return Ok(locals.first().map(any));
        }
        let fitting = locals.iter().find(|local| local.is_ipv4() == remote.is_ipv4());
        Ok(fitting.or_else(|| locals.first()).copied())
    }

    /// Calls, and waits for the connection: see [`SrtSocket::connect`].
    ///
    /// # Errors
    /// As [`SrtSocket::connect_from`]; [`Error::Uri`] for a listener's URI.
    pub fn connect(&self) -> Result<SrtSocket, Error> {
        try_each(self.remote_addrs()?, |remote| match self.local_addr_for(remote)? {
            Some(local) => SrtSocket::connect_from(local, remote, &self.options),
            None => SrtSocket::connect(remote, &self.options),
        })
    }

    /// Listens: see [`SrtListener::bind`].
    ///
    /// # Errors
    /// As [`SrtListener::bind`]; [`Error::Uri`] for a caller's URI.
    pub fn listen(&self) -> Result<SrtListener, Error> {
        self.check_mode(Mode::Listener)?;
        try_each(self.local_addrs()?, |local| SrtListener::bind(local, &self.options))
    }

    fn check_mode(&self, wanted: Mode) -> Result<(), UriError> {
        if self.mode == wanted {
            return Ok(());
        }
        Err(UriError::OtherMode { text: self.text.clone(), mode: self.mode, wanted })
    }
}

impl FromStr for SrtUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text)
    }
}

/// The URI as it was given, with a passphrase hidden.
impl fmt::Display for SrtUri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.text)
    }
}

impl fmt::Debug for SrtUri {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SrtUri({}, {})", self.mode, self.text)
    }
}

/// What the keys have said so far.
#[derive(Default)]
struct Keys<'a> {
    extra_keys: &'a [&'a str],
    mode: Option<Mode>,
    adapter: Option<String>,
    local_port: Option<u16>,
    workers: Option<usize>,
    /// Wiped when done with, for one may be a passphrase.
    options: Vec<(String, Zeroizing<String>)>,
    extra: Vec<(String, String)>,
}

impl Keys<'_> {
    fn take(&mut self, key: String, value: String) -> Result<(), UriError> {
        if self.extra_keys.contains(&key.as_str()) {
            self.extra.push((key, value));
            return Ok(());
        }
        match key.as_str() {
            "mode" => self.mode = Some(mode(&value)?),
            "adapter" => self.adapter = Some(without_brackets(&value).to_owned()),
            "port" => self.local_port = Some(number(&key, &value)?),
            "bind" => self.bind(&value)?,
            "workers" => self.workers = workers(&key, &value)?,
            "timeout" => self.both([SocketOption::SndTimeo, SocketOption::RcvTimeo], &value),
            "blocking" => self.both([SocketOption::SndSyn, SocketOption::RcvSyn], &value),
            _ if SocketOption::from_name(&key).is_ok() => self.options.push((key, value.into())),
            _ => {
                return Err(UriError::UnknownKey { hint: nearest(&key, self.extra_keys), key: quoted(&key) });
            }
        }
        Ok(())
    }

    /// `bind=adapter:port`, either part alone as well.
    fn bind(&mut self, value: &str) -> Result<(), UriError> {
        let (host, port) = match value.rsplit_once(':') {
            // The colons of an IPv6 address without a port.
            Some(_) if value.ends_with(']') => (value, None),
            Some((host, port)) => (host, Some(number("bind", port)?)),
            None => (value, None),
        };
        if !host.is_empty() {
            self.adapter = Some(without_brackets(host).to_owned());
        }
        self.local_port = port.or(self.local_port);
        Ok(())
    }

    fn both(&mut self, options: [SocketOption; 2], value: &str) {
        self.options.extend(options.map(|option| (option.name().to_owned(), value.to_owned().into())));
    }
}

fn mode(value: &str) -> Result<Mode, UriError> {
    let refused = |why| Err(UriError::Value { key: "mode".to_owned(), value: quoted(value), why });
    match value.to_ascii_lowercase().as_str() {
        "caller" | "client" => Ok(Mode::Caller),
        "listener" | "server" => Ok(Mode::Listener),
        "rendezvous" => refused("is not supported yet; let one side be a listener and the other a caller"),
        _ => refused("is no mode; say caller or listener"),
    }
}

fn number(key: &str, value: &str) -> Result<u16, UriError> {
    let why = "is no port; give a number from 0 to 65535";
    value.parse().map_err(|_| UriError::Value { key: key.to_owned(), value: quoted(value), why })
}

fn workers(key: &str, value: &str) -> Result<Option<usize>, UriError> {
    match value.parse() {
        Ok(workers) if (1..=WORKERS_MOST).contains(&workers) => Ok(Some(workers)),
        _ => {
            let why = "is no number of workers; give one from 1 to 256";
            Err(UriError::Value { key: key.to_owned(), value: quoted(value), why })
        }
    }
}

/// More workers than that are a mistake.
const WORKERS_MOST: usize = 256;

/// What stands between `srt://` and the options.
fn host_and_port(address: &str) -> Result<(Option<String>, u16), UriError> {
    let refused = |why| Err(UriError::Address { text: quoted(&without_secrets(address)), why });
    let (authority, path) = match address.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (address, ""),
    };
    if !path.is_empty() {
        return refused("a path has no meaning here; name the stream with streamid=");
    }
    let Some((host, port)) = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')) else {
        return refused("it has no port; write srt://host:port");
    };
    let bare = without_brackets(host);
    if bare.len() == host.len() && host.contains(':') {
        return refused("an IPv6 address stands in brackets: srt://[2001:db8::1]:9000");
    }
    if bare.contains(['[', ']', '@', ' ']) {
        return refused("the host has characters that no host has");
    }
    let Ok(port) = port.parse() else {
        return refused("the port is no number from 0 to 65535");
    };
    // An interface behind `%` is written as it is, or with the percent sign encoded as RFC 6874 has it.
    let host = if bare.contains(':') { bare.replacen("%25", "%", 1) } else { decode("host", bare)? };
    Ok(((!host.is_empty()).then_some(host), port))
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Puts the bytes in for their `%xx`.
fn decode(key: &str, text: &str) -> Result<String, UriError> {
    let shown = if is_secret(key) { "***".to_owned() } else { quoted(text) };
    let refused = |why| UriError::Value { key: quoted(key), value: shown.clone(), why };
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| {
            refused("has a % without two hexadecimal digits; write %25 for the sign itself")
        })?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| refused("is not UTF-8 once its %xx are put in"))
}

/// The URI with the values of secrets hidden, also where an `&` stands in place of the `?`.
fn without_secrets(text: &str) -> String {
    let hidden = |part: &str| {
        let pairs = part.split('&').map(|pair| match pair.split_once('=') {
            Some((key, _)) if is_secret(key) => format!("{key}=***"),
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    };
    match text.split_once('?') {
        Some((address, query)) => format!("{}?{}", hidden(address), hidden(query)),
        None => hidden(text),
    }
}

/// The value of this key may never be shown. No key of ours needs a percent sign: it would only hide which one it is.
fn is_secret(key: &str) -> bool {
    key.contains('%') || key.to_ascii_lowercase().contains("pass")
}

/// A text as errors repeat it: not without end.
fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The known key with the fewest letters to change, if they are few.
fn nearest(key: &str, extra_keys: &[&str]) -> Option<String> {
    const OWN: [&str; 7] = ["mode", "adapter", "port", "bind", "workers", "timeout", "blocking"];
    let key = key.to_ascii_lowercase();
    if key.len() > LONGEST_KEY {
        return None;
    }
    let known = SocketOption::all().map(|info| info.name).chain(OWN).chain(extra_keys.iter().copied());
    let (distance, near) =
        known.map(|known| (letters_to_change(&key, known), known)).min_by_key(|near| near.0)?;
    (distance <= key.len().div_ceil(3)).then(|| near.to_owned())
}

/// How many letters have to be put in, taken out or exchanged to make `one` of `other` (Levenshtein).
fn letters_to_change(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

const SCHEME: &str = "srt://";
/// Keys longer than this are no slip of the finger.
const LONGEST_KEY: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use srt_protocol::{
        config::{CipherMode, KeyLength},
        time::Micros,
    };

    fn parse(text: &str) -> SrtUri {
        SrtUri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        SrtUri::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn a_host_is_called_and_no_host_listens() {
        let uri = parse("srt://example.com:9000");
        assert_eq!((uri.mode(), uri.host(), uri.port()), (Mode::Caller, Some("example.com"), 9000));
        let uri = parse("SRT://:9000");
        assert_eq!((uri.mode(), uri.host(), uri.port()), (Mode::Listener, None, 9000));
        assert_eq!(uri.local_addrs().expect("no name"), [SocketAddr::from(([0, 0, 0, 0], 9000))]);
        let uri = parse("srt://127.0.0.1:9000/?mode=listener");
        assert_eq!((uri.mode(), uri.host()), (Mode::Listener, Some("127.0.0.1")));
        assert_eq!(uri.local_addrs().expect("no name"), [SocketAddr::from(([127, 0, 0, 1], 9000))]);
        let uri = parse("srt://:9000?adapter=127.0.0.1");
        assert_eq!(uri.local_addrs().expect("no name"), [SocketAddr::from(([127, 0, 0, 1], 9000))]);
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        let uri = parse("srt://[2001:db8::1]:9000");
        assert_eq!((uri.host(), uri.port()), (Some("2001:db8::1"), 9000));
        assert_eq!(uri.remote_addrs().expect("no name")[0].to_string(), "[2001:db8::1]:9000");
        assert_eq!(parse("srt://[fe80::1%25eth0]:1").host(), Some("fe80::1%eth0"));
        assert_eq!(parse("srt://[fe80::1%eth0]:1").host(), Some("fe80::1%eth0"));
        assert!(refused("srt://2001:db8::1:9000").contains("brackets"));
        assert!(refused("srt://[::1]").contains("no port"));
    }

    #[test]
    fn a_caller_may_have_an_address_and_port_of_its_own() {
        let uri = parse("srt://h:1?adapter=10.0.0.1&port=4001&mode=caller");
        assert_eq!((uri.adapter(), uri.local_port()), (Some("10.0.0.1"), Some(4001)));
        for (bind, adapter, port) in [
            ("10.0.0.1:4001", Some("10.0.0.1"), Some(4001)),
            ("10.0.0.1", Some("10.0.0.1"), None),
            (":4001", None, Some(4001)),
            ("[::1]:4001", Some("::1"), Some(4001)),
            ("[::1]", Some("::1"), None),
        ] {
            let uri = parse(&format!("srt://h:1?mode=caller&bind={bind}"));
            assert_eq!((uri.adapter(), uri.local_port()), (adapter, port), "{bind}");
        }
        assert_eq!(parse("srt://h:1").local_addrs().expect("nothing to look up"), []);
        let port_only = parse("srt://h:1?port=4001").local_addr().expect("no name");
        assert_eq!(port_only, Some(SocketAddr::from(([0, 0, 0, 0], 4001))));
    }

    #[test]
    fn options_are_set_by_their_names_in_any_order() {
        let uri = parse("srt://h:1?rcvlatency=300&SRTO_MSS=1400&maxbw=8Mbps&linger=3&latency=120ms&tsbpd=1");
        let config = uri.options().config();
        assert_eq!((config.mss(), config.max_bw()), (1_400, 1_000_000));
        assert_eq!(config.linger(), Micros::from_secs(3));
    }

    #[test]
    fn timeout_and_blocking_mean_both_directions() {
        let uri = parse("srt://h:1?timeout=1500&blocking=0");
        let config = uri.options().config();
        let timeout = Some(Micros::from_millis(1_500));
        assert_eq!((config.send_timeout(), config.receive_timeout()), (timeout, timeout));
        assert_eq!((config.send_blocking(), config.receive_blocking()), (false, false));
    }

    #[test]
    fn a_stream_id_may_be_written_plainly_or_encoded() {
        for id in ["#!::r=live/cam,m=publish", "%23!%3A%3Ar=live%2Fcam,m%3Dpublish"] {
            let uri = parse(&format!("srt://h:1?streamid={id}&latency=200"));
            assert_eq!(uri.options().config().stream_id(), b"#!::r=live/cam,m=publish");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_the_mend() {
        for (text, parts) in [
            ("udp://h:1", &["udp://h:1", "srt://"][..]),
            ("srt://h", &["no port", "srt://host:port"]),
            ("srt://h:99999", &["h:99999", "65535"]),
            ("srt://h:1/path", &["streamid"]),
            ("srt://:1?mode=caller", &["host"]),
            ("srt://h:1?mode=rendezvous", &["rendezvous", "not supported yet"]),
            ("srt://h:1?adapter=10.0.0.1", &["mode=caller"]),
            ("srt://h:1?mode=sideways", &["sideways", "caller or listener"]),
            ("srt://h:1?port=x", &["port", "`x`", "65535"]),
            ("srt://:1?port=2", &["`2`", "srt://:port"]),
            ("srt://h:1?latancy=1", &["latancy", "latency"]),
            ("srt://h:1?adaptor=1", &["adaptor", "adapter"]),
            ("srt://h:1?latency=soon", &["latency", "soon"]),
            ("srt://:1?workers=0", &["workers", "`0`", "1 to 256"]),
            ("srt://h:1?oheadbw=400", &["oheadbw", "400", "5 to 100"]),
            ("srt://h:1?streamid=100%", &["streamid", "%25"]),
            ("srt://h:1?streamid=%ff", &["UTF-8"]),
        ] {
            let error = refused(text);
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(!refused("srt://h:1?zzzzzzzzzzzz=1").contains("did you mean"));
    }

    #[test]
    fn a_program_may_have_keys_of_its_own() {
        let uri = SrtUri::parse_with("srt://h:1?weight=3&latency=50&weight=4", &["weight"]).expect("known");
        assert_eq!((uri.extra("weight"), uri.extra("latency")), (Some("4"), None));
        assert!(refused("srt://h:1?weight=3").contains("weight"));
    }

    #[test]
    fn a_uri_of_the_other_mode_is_not_used() {
        let text = parse("srt://:9000").connect().expect_err("a listener's").to_string();
        assert!(text.contains("mode=caller"), "{text}");
        let text = parse("srt://h:9000").listen().expect_err("a caller's").to_string();
        assert!(text.contains("mode=listener"), "{text}");
    }

    #[test]
    fn a_passphrase_is_not_repeated() {
        assert_eq!(
            without_secrets("srt://h:1?latency=1&passphrase=geheim&x=y"),
            "srt://h:1?latency=1&passphrase=***&x=y"
        );
        for text in [
            "srt://h:1?passphrase=geheim",
            "srt://h?passphrase=geheimgeheim",
            "srt://h:1&passphrase=geheimgeheim",
            "udp://h:1&passphrase=geheimgeheim",
        ] {
            let error = refused(text);
            assert!(!error.contains("geheim"), "{error}");
        }
        let uri = parse("srt://h:1?p%61ssphrase=geheimgeheim");
        assert!(uri.options().config().passphrase().is_some());
        assert_eq!(uri.to_string(), "srt://h:1?p%61ssphrase=***");
        assert!(!format!("{uri:?}").contains("geheim"));
    }

    #[test]
    fn what_a_uri_names_is_told_from_what_it_leaves_open() {
        let uri = parse("srt://h:1?SRTO_PASSPHRASE=&latency=200&timeout=100");
        let named = [SocketOption::Passphrase, SocketOption::Latency, SocketOption::SndTimeo];
        assert_eq!(named.map(|option| uri.names(option)), [true; 3], "empty is a value as well");
        assert!(!uri.names(SocketOption::PbKeyLen) && !parse("srt://h:1").names(SocketOption::Passphrase));
    }

    #[test]
    fn options_of_encryption_are_set_by_their_names() {
        let uri = parse(
            "srt://h:1?kmpreannounce=100&pbkeylen=32&kmrefreshrate=1000&cryptomode=2&enforcedencryption=no",
        );
        let config = uri.options().config();
        assert_eq!((config.km_refresh_rate(), config.km_pre_announce()), (1_000, 100));
        assert_eq!(
            (config.key_length(), config.cipher_mode()),
            (Some(KeyLength::Aes256), Some(CipherMode::Gcm))
        );
        assert!(!config.enforced_encryption());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_text_makes_it_panic(text in "(srt://)?\\PC{0,60}") {
            if let Ok(uri) = SrtUri::parse(&text) {
                prop_assert!(!uri.to_string().is_empty());
            }
        }

        #[test]
        fn no_text_that_looks_like_a_uri_makes_it_panic(
            host in "[a-z0-9.\\[\\]:%@/]{0,12}", port in "[0-9]{0,6}", query in "([a-z%=&#é0-9]{0,12}&?){0,6}",
        ) {
            let text = format!("srt://{host}:{port}?{query}");
            if let Ok(uri) = SrtUri::parse(&text) {
                prop_assert!(uri.mode() == Mode::Caller || uri.host().is_none());
            }
        }

        #[test]
        fn what_is_encoded_comes_back(id in "\\PC{0,40}") {
            let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let uri = SrtUri::parse(&format!("srt://h:1?streamid={encoded}")).expect("a valid URI");
            prop_assert_eq!(uri.options().config().stream_id(), id.as_bytes());
        }
    }
}
