//! The `srt://` addresses of one end of a transfer: one caller, the links of a group that calls, or listeners.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use srt::{
    CipherMode, Error, GroupLink, GroupMode, LinkDown, LinkId, LinkReport, LinkState, Mode, Options,
    SocketOption, SrtGroup, SrtUri,
};

use super::srt::{LARGEST_LIVE_PAYLOAD, Role, failure_of};
use super::uri::masked;
use super::{Setup, WAIT, interface};
use crate::error::{Failure, UriFault, UriProblem};

/// Parameters that are not options: those of srt-live-transmit change nothing here, for nothing here waits for long.
const KEYS: [&str; 3] = ["timeout", "blocking", "weight"];
/// What a link of a group may have of its own; all else is the stream's.
const OF_A_LINK: [SocketOption; 13] = [
    SocketOption::BindToDevice,
    SocketOption::ConnTimeo,
    SocketOption::IpTos,
    SocketOption::IpTtl,
    SocketOption::Ipv6Only,
    SocketOption::KmPreAnnounce,
    SocketOption::KmRefreshRate,
    SocketOption::Passphrase,
    SocketOption::PbKeyLen,
    SocketOption::PeerIdleTimeo,
    SocketOption::ReuseAddr,
    SocketOption::UdpRcvBuf,
    SocketOption::UdpSndBuf,
];
/// Parameters of one link that are not options.
const OWN_KEYS: [&str; 7] = ["weight", "bind", "adapter", "port", "source", "mode", "workers"];

/// How the `srt://` addresses of one end are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bonding {
    /// They are those of `srt send` or `srt receive`: who has a host is called, listeners take groups, `adapter` may be an
    /// interface.
    pub(crate) own: bool,
    /// What makes a group of one address as well.
    pub(crate) mode: Option<GroupMode>,
    /// Addresses beside the first.
    pub(crate) further: Vec<String>,
}

/// What the addresses of one end come to.
#[derive(Debug)]
pub(crate) enum Ends {
    /// One call.
    Caller(Box<SrtUri>),
    /// A group that calls.
    Group(GroupPlan),
    /// Places where callers are awaited.
    Listeners(Vec<SrtUri>),
}

/// The group that is to call.
#[derive(Debug)]
pub(crate) struct GroupPlan {
    mode: GroupMode,
    links: Vec<LinkPlan>,
}

#[derive(Debug)]
struct LinkPlan {
    /// The address as messages repeat it.
    name: String,
    /// Where to and by which way, in short.
    label: String,
    uri: SrtUri,
    weight: u16,
    local: Option<SocketAddr>,
}

impl Ends {
    /// Reads the addresses; names are looked up, so that faults show at once.
    ///
    /// # Errors
    /// Wrong addresses or options, and addresses that do not go together.
    pub(crate) fn read(text: &str, bonding: &Bonding, role: Role, setup: &Setup) -> Result<Self, Failure> {
        let group = group_address(text)?;
        let of_group = group.as_ref().map(|(mode, _)| *mode);
        let texts = group.map_or_else(
            || {
                std::iter::once(text)
                    .chain(bonding.further.iter().map(String::as_str))
                    .map(str::to_owned)
                    .collect()
            },
            |(_, texts)| texts,
        );
        let meant = |text: &String| if bonding.own { as_meant(text) } else { text.clone() };
        let texts: Vec<(String, String)> = texts.iter().map(|text| (masked(text), meant(text))).collect();
        let mut uris = Vec::new();
        for (name, text) in &texts {
            uris.push(parse(name, text)?);
        }
        let calls = uris.iter().any(|uri| uri.mode() != Mode::Listener);
        for ((name, _), uri) in texts.iter().zip(&uri_modes(&uris)) {
            if calls && *uri == Mode::Listener {
                return Err(UriFault { uri: name.clone(), problem: UriProblem::ListenerInGroup }.into());
            }
        }
        if !calls {
            if bonding.mode.is_some() {
                return Err(Failure::Conflict(
                    "--group: the caller says how links are used; leave it out where you listen",
                ));
            }
            return listeners(uris, &texts, bonding, role, setup);
        }
        for ((name, _), uri) in texts.iter().zip(&uris) {
            if uri.port() == 0 {
                let problem = UriProblem::Port("0".to_owned());
                return Err(UriFault { uri: name.clone(), problem }.into());
            }
        }
        let mode = bonding.mode.or(of_group).or_else(|| (uris.len() > 1).then_some(GroupMode::Broadcast));
        let Some(mode) = mode else {
            let (Some((name, _)), Some(mut uri)) = (texts.first(), uris.pop()) else {
                return Err(Failure::Conflict("an SRT address is needed"));
            };
            prepare(&mut uri, name, role, setup)?;
            match uri.remote_addrs() {
                // Said, and tried again, like all that keeps a connection from being made.
                Err(Error::Resolve { .. }) if setup.reconnect => {}
                looked_up => drop(looked_up.map_err(|source| failure_of(name, source, ""))?),
            }
            return Ok(Self::Caller(Box::new(uri)));
        };
        // Of one address of libsrt's what a node says is its own; of several that of the first is for those that say nothing.
        Ok(Self::Group(GroupPlan::new(mode, (&texts, &uris), of_group.is_none(), role, setup)?))
    }

    /// The largest message that is asked for.
    pub(crate) fn max_message(&self) -> usize {
        match self {
            Self::Caller(uri) => payload_of(uri),
            Self::Group(plan) => {
                plan.links.first().map_or(LARGEST_LIVE_PAYLOAD, |link| payload_of(&link.uri))
            }
            Self::Listeners(uris) => uris.iter().map(payload_of).min().unwrap_or(LARGEST_LIVE_PAYLOAD),
        }
    }
}

fn payload_of(uri: &SrtUri) -> usize {
    uri.options().config().payload_size()
}

fn uri_modes(uris: &[SrtUri]) -> Vec<Mode> {
    uris.iter().map(SrtUri::mode).collect()
}

fn listeners(
    mut uris: Vec<SrtUri>,
    texts: &[(String, String)],
    bonding: &Bonding,
    role: Role,
    setup: &Setup,
) -> Result<Ends, Failure> {
    for (uri, (name, text)) in uris.iter_mut().zip(texts) {
        prepare(uri, name, role, setup)?;
        // A port that is spread over workers takes no groups.
        let spread = pairs(text).any(|(key, _)| key == "workers");
        if bonding.own && !spread && !uri.names(SocketOption::GroupConnect) {
            let set = uri.options_mut().set(SocketOption::GroupConnect, 1);
            set.map_err(|source| failure_of(name, source, ""))?;
        }
    }
    Ok(Ends::Listeners(uris))
}

impl GroupPlan {
    fn new(
        mode: GroupMode,
        (texts, uris): (&[(String, String)], &[SrtUri]),
        all_inherit: bool,
        role: Role,
        setup: &Setup,
    ) -> Result<Self, Failure> {
        let mut plan = Self { mode, links: Vec::new() };
        let (Some((_, first_text)), Some(first)) = (texts.first(), uris.first()) else { return Ok(plan) };
        let mut unknown = Vec::new();
        for ((name, text), own) in texts.iter().zip(uris) {
            agree(name, own, text, first, first_text)?;
            let mut uri = parse(name, &merged(text, own, first_text, all_inherit))?;
            prepare(&mut uri, name, role, setup)?;
            let weight = weight_of(&uri, name)?;
            let remotes = match uri.remote_addrs() {
                Ok(addresses) => addresses,
                Err(error) => {
                    unknown.push(failure_of(name, error, ""));
                    Vec::new()
                }
            };
            let local = match remotes.first() {
                Some(remote) => uri.local_addr_for(*remote),
                None => uri.local_addr(),
            };
            let local = local.map_err(|source| failure_of(name, source, ""))?;
            let label = label(&uri, local);
            plan.links.push(LinkPlan { name: name.clone(), label, uri, weight, local });
        }
        let links: Vec<GroupLink> = plan.links.iter().map(LinkPlan::link).collect();
        for count in 1..=links.len() {
            SrtGroup::check(&links[..count])
                .map_err(|source| failure_of(&plan.links[count - 1].name, source, ""))?;
        }
        // One link is enough to begin with; a stream without any is a mistake.
        if unknown.len() == plan.links.len() && !setup.reconnect {
            return Err(unknown.swap_remove(0));
        }
        for failure in unknown {
            setup.talk.say(format!("{failure}; trying again"));
        }
        Ok(plan)
    }

    /// Starts to call on all links.
    ///
    /// # Errors
    /// As [`SrtGroup::start_connect`].
    pub(crate) fn start(&self) -> Result<SrtGroup, Error> {
        let options = self.links.first().map_or_else(Options::new, |link| link.uri.options().clone());
        SrtGroup::start_connect(self.mode, self.links.iter().map(LinkPlan::link), &options)
    }

    /// How many links there are.
    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    /// What a link is called, by its number.
    pub(crate) fn label(&self, link: LinkId) -> Option<&str> {
        self.link(link).map(|link| link.label.as_str())
    }

    /// Why a link is down, in words.
    pub(crate) fn reason(&self, link: LinkId, down: LinkDown) -> String {
        self.link(link).map_or_else(|| down.to_string(), |link| link.reason(Some(down)))
    }

    /// Links have numbers from 1 on, in the order in which they were given.
    fn link(&self, link: LinkId) -> Option<&LinkPlan> {
        self.links.get(usize::try_from(link.value()).ok()?.checked_sub(1)?)
    }

    /// What the whole is called.
    pub(crate) fn name(&self) -> String {
        let names: Vec<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
        names.join(" + ")
    }

    /// Why no link came to be, link by link.
    pub(crate) fn failure(&self, reports: &[LinkReport]) -> Failure {
        let reasons = (1_u32..).zip(&self.links).map(|(number, link)| {
            let report = reports.iter().find(|report| report.id.value() == number);
            (link.name.clone(), link.reason(report.and_then(|report| report.down)))
        });
        Failure::NoLink { reasons: reasons.collect() }
    }
}

impl LinkPlan {
    fn link(&self) -> GroupLink {
        let target = (self.uri.host().unwrap_or_default(), self.uri.port());
        let link = GroupLink::to(target).weight(self.weight).options(self.uri.options());
        match self.local {
            Some(local) => link.from(local),
            None => link,
        }
    }

    /// Why it is down, in words; where it could not be opened, what hinders that here.
    fn reason(&self, down: Option<LinkDown>) -> String {
        match down {
            None => "it was not called yet".to_owned(),
            Some(down) => (down == LinkDown::Local)
                .then(|| self.hindrance())
                .flatten()
                .unwrap_or_else(|| down.to_string()),
        }
    }

    fn hindrance(&self) -> Option<String> {
        if let Some(device) = self.uri.options().config().bind_to_device()
            && interface::by_name(device).is_none()
        {
            return Some(format!("there is no network interface \"{device}\""));
        }
        if let Some(local) = self.local
            && UdpSocket::bind(SocketAddr::new(local.ip(), 0)).is_err()
        {
            return Some(format!("{} is no address of this machine", local.ip()));
        }
        self.uri.remote_addrs().err().map(|error| error.to_string())
    }
}

/// Whether a link of this state carries or could carry something.
pub(crate) fn is_up(state: LinkState) -> bool {
    !matches!(state, LinkState::Down | LinkState::Connecting)
}

/// The mode in a word.
pub(crate) fn mode_name(mode: GroupMode) -> &'static str {
    match mode {
        GroupMode::Backup => "backup",
        GroupMode::Balancing => "balancing",
        _ => "broadcast",
    }
}

fn parse(name: &str, text: &str) -> Result<SrtUri, Failure> {
    SrtUri::parse_with(text, &KEYS).map_err(|fault| Failure::SrtUri { uri: name.to_owned(), fault })
}

/// Sets what the command settles itself.
fn prepare(uri: &mut SrtUri, name: &str, role: Role, setup: &Setup) -> Result<(), Failure> {
    let refused = |source| failure_of(name, source, "");
    let inherited = setup.passphrase.as_ref().filter(|_| !uri.names(SocketOption::Passphrase));
    let options = uri.options_mut();
    if let Some(secret) = inherited {
        options.set(SocketOption::Passphrase, secret.checked()?).map_err(refused)?;
        setup.talk.detail(format!("{name}: the passphrase is that of {}", secret.place()));
    }
    if setup.chunk > options.config().payload_size() && role == Role::Target {
        let bytes = i32::try_from(setup.chunk).unwrap_or(i32::MAX);
        let most = largest_payload(options);
        if setup.chunk > most {
            return Err(Failure::Chunk { chunk: setup.chunk, most });
        }
        options.set(SocketOption::PayloadSize, bytes).map_err(refused)?;
    }
    for option in [SocketOption::SndTimeo, SocketOption::RcvTimeo] {
        let millis = i32::try_from(WAIT.as_millis()).unwrap_or(100);
        options.set(option, millis).map_err(refused)?;
    }
    for option in [SocketOption::SndSyn, SocketOption::RcvSyn] {
        options.set(option, true).map_err(refused)?;
    }
    Ok(())
}

/// The largest message in live mode, as the cipher leaves room for it.
fn largest_payload(options: &Options) -> usize {
    LARGEST_LIVE_PAYLOAD - options.config().cipher_mode().map_or(0, CipherMode::tag_len)
}

/// The largest message that this address can carry; what is wrong with it shows when it is opened.
pub(crate) fn largest_message(text: &str) -> usize {
    let first = group_address(text).ok().flatten().and_then(|(_, texts)| texts.into_iter().next());
    let text = first.as_deref().unwrap_or(text);
    SrtUri::parse_with(text, &KEYS).map_or(LARGEST_LIVE_PAYLOAD, |uri| largest_payload(uri.options()))
}

fn weight_of(uri: &SrtUri, name: &str) -> Result<u16, Failure> {
    let Some(text) = uri.extra("weight") else { return Ok(0) };
    let weight = text.parse::<u16>().ok().filter(|weight| *weight <= HEAVIEST);
    weight.ok_or_else(|| {
        let (key, value) = ("weight".to_owned(), text.to_owned());
        let problem = UriProblem::Value { key, value, allowed: "0 to 32767" };
        UriFault { uri: name.to_owned(), problem }.into()
    })
}

/// Largest weight on the wire.
const HEAVIEST: u16 = 32_767;

/// Where to, and by which way where that is said.
fn label(uri: &SrtUri, local: Option<SocketAddr>) -> String {
    let host = uri.host().unwrap_or_default();
    let to = if host.contains(':') {
        format!("[{host}]:{}", uri.port())
    } else {
        format!("{host}:{}", uri.port())
    };
    if let Some(device) = uri.options().config().bind_to_device() {
        return format!("{to} via {device}");
    }
    match local {
        Some(local) if local.port() == 0 => format!("{to} from {}", local.ip()),
        Some(local) => format!("{to} from {local}"),
        None => to,
    }
}

// ---- text of addresses ---------------------------------------------------------------------------------------------

/// The parameters of an address: names in lower case and without `SRTO_`, values as they stand.
fn pairs(text: &str) -> impl Iterator<Item = (String, &str)> {
    let query = text.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|item| !item.is_empty()).map(|item| {
        let (key, value) = item.split_once('=').unwrap_or((item, ""));
        let key = SocketOption::from_name(key)
            .map_or_else(|_| key.to_ascii_lowercase(), |option| option.name().to_owned());
        (key, value)
    })
}

/// An address of `srt send` or `srt receive` in the words of the library: a host is called where nothing else is said, and an
/// `adapter` that is no address is an interface.
fn as_meant(text: &str) -> String {
    let Some((place, query)) = text.split_once('?') else { return text.to_owned() };
    let names_mode = pairs(text).any(|(key, _)| key == "mode");
    let host = place.split_once("://").map_or(place, |(_, rest)| rest);
    let mut items: Vec<String> = query
        .split('&')
        .map(|item| match item.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("adapter") && is_interface(value) => {
                format!("bindtodevice={value}")
            }
            _ => item.to_owned(),
        })
        .collect();
    if !names_mode && !host.starts_with(':') && !host.is_empty() {
        items.push("mode=caller".to_owned());
    }
    format!("{place}?{}", items.join("&"))
}

/// Interfaces may be unplugged and come back: a name that cannot be that of a host is one, too.
fn is_interface(value: &str) -> bool {
    let bare = value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(value);
    let is_address = bare.parse::<IpAddr>().is_ok() || bare.is_empty();
    !is_address
        && (interface::by_name(bare).is_some() || !bare.contains(['.', ':', '%']) && bare != "localhost")
}

/// The address of a link with what the first one says for all.
fn merged(text: &str, own: &SrtUri, first: &str, all: bool) -> String {
    let Some((_, query)) = first.split_once('?').filter(|_| first != text) else { return text.to_owned() };
    let says = |key: &str| match SocketOption::from_name(key) {
        Ok(option) => own.names(option),
        Err(_) => pairs(text).any(|(known, _)| known == key),
    };
    let of_one = |key: &str| {
        let option = SocketOption::from_name(key).ok();
        let of_a_link = option.is_some_and(|option| OF_A_LINK.contains(&option));
        OWN_KEYS.contains(&key) || option == Some(SocketOption::BindToDevice) || of_a_link && !all
    };
    let inherited = query.split('&').zip(pairs_of(query)).filter(|(_, key)| !of_one(key) && !says(key));
    let mut items: Vec<&str> = inherited.map(|(item, _)| item).collect();
    let (place, own_query) = text.split_once('?').unwrap_or((text, ""));
    items.extend(own_query.split('&'));
    items.retain(|item| !item.is_empty());
    if items.is_empty() { place.to_owned() } else { format!("{place}?{}", items.join("&")) }
}

fn pairs_of(query: &str) -> impl Iterator<Item = String> {
    query.split('&').map(|item| {
        let key = item.split_once('=').map_or(item, |(key, _)| key);
        SocketOption::from_name(key)
            .map_or_else(|_| key.to_ascii_lowercase(), |option| option.name().to_owned())
    })
}

/// Refuses options of the stream that a further address has otherwise than the first.
fn agree(name: &str, own: &SrtUri, text: &str, first: &SrtUri, first_text: &str) -> Result<(), Failure> {
    for info in SocketOption::all() {
        let option = info.option;
        if OF_A_LINK.contains(&option) || !own.names(option) {
            continue;
        }
        let (here, there) = (own.options().get(option), first.options().get(option));
        let same = match (&here, &there) {
            (Ok(here), Ok(there)) => here == there,
            // What cannot be read is compared as it stands.
            _ => value_of(text, info.name) == value_of(first_text, info.name),
        };
        if !same {
            let key = info.name.to_owned();
            let problem = UriProblem::Contradiction {
                key,
                value: value_of(text, info.name).unwrap_or_default(),
                first: there
                    .map(|value| value.to_string())
                    .ok()
                    .filter(|value| !value.is_empty())
                    .unwrap_or_else(|| "none".to_owned()),
            };
            return Err(UriFault { uri: name.to_owned(), problem }.into());
        }
    }
    Ok(())
}

fn value_of(text: &str, key: &str) -> Option<String> {
    pairs(text).filter(|(known, _)| known == key).last().map(|(_, value)| value.to_owned())
}

/// Reads `srt:////group?type=…&nodes=HOST:PORT?weight=2,HOST:PORT&…`, libsrt's way to write a group; each node as an address
/// of its own. `None` for other addresses.
///
/// # Errors
/// A type there is not, no nodes, a group that is to listen.
fn group_address(text: &str) -> Result<Option<(GroupMode, Vec<String>)>, UriFault> {
    if !is_group_address(text) {
        return Ok(None);
    }
    let fault = |problem| UriFault { uri: masked(text), problem };
    let value = |key: &str, value: &str, allowed| {
        fault(UriProblem::Value { key: key.to_owned(), value: value.to_owned(), allowed })
    };
    let query = text.split_once('?').map_or("", |(_, query)| query);
    let (mut mode, mut nodes, mut common) = (GroupMode::Broadcast, Vec::new(), Vec::new());
    for item in query.split('&').filter(|item| !item.is_empty()) {
        let (key, given) = item.split_once('=').unwrap_or((item, ""));
        match key.to_ascii_lowercase().as_str() {
            "type" => {
                mode = mode_of(given).ok_or_else(|| value(key, given, "broadcast, backup or balancing"))?;
            }
            "nodes" => nodes.extend(given.split(',').filter(|node| !node.is_empty())),
            "mode" if matches!(given, "caller" | "client" | "default") => {}
            "mode" => return Err(value(key, given, "caller, for a group calls")),
            _ => common.push(item),
        }
    }
    if nodes.is_empty() {
        return Err(fault(UriProblem::NoNodes));
    }
    let address = |node: &&str| {
        let mut parts = node.split('?');
        let place = parts.next().unwrap_or_default();
        let own = parts.map(|part| match part.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("source") => format!("bind={value}"),
            _ => part.strip_prefix("srto.").unwrap_or(part).to_owned(),
        });
        (place.to_owned(), own.collect::<Vec<_>>().join("&"))
    };
    let nodes: Vec<(String, String)> = nodes.iter().map(address).collect();
    let common = common.join("&");
    let texts = nodes.into_iter().map(|(place, own)| {
        let items = [common.as_str(), own.as_str(), "mode=caller"];
        let items: Vec<&str> = items.into_iter().filter(|item| !item.is_empty()).collect();
        format!("srt://{place}?{}", items.join("&"))
    });
    Ok(Some((mode, texts.collect())))
}

/// Whether this is libsrt's way to write a group.
pub(crate) fn is_group_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let place = rest.split_once('?').map_or(rest, |(place, _)| place);
    scheme.eq_ignore_ascii_case("srt") && matches!(place, "//group" | "//group/")
}

fn mode_of(text: &str) -> Option<GroupMode> {
    match text.to_ascii_lowercase().as_str() {
        "broadcast" => Some(GroupMode::Broadcast),
        "backup" => Some(GroupMode::Backup),
        "balancing" => Some(GroupMode::Balancing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::bytes::tests::setup;
    use super::*;

    fn read(texts: &[&str], own: bool) -> Result<Ends, Failure> {
        let further = texts[1..].iter().map(|text| (*text).to_owned()).collect();
        Ends::read(texts[0], &Bonding { own, mode: None, further }, Role::Target, &setup(1316))
    }

    fn plan(texts: &[&str], own: bool) -> GroupPlan {
        match read(texts, own) {
            Ok(Ends::Group(plan)) => plan,
            other => panic!("{texts:?}: {other:?}"),
        }
    }

    #[test]
    fn what_the_first_address_says_is_for_all_links_and_each_has_its_own() {
        let plan = plan(
            &[
                "srt://127.0.0.1:1?latency=300&conntimeo=900&SRTO_PASSPHRASE=open%20sesame&weight=7&bind=127.0.0.2:4001",
                "srt://127.0.0.1:2?passphrase=open%20barley&conntimeo=800&latency=300",
                "srt://127.0.0.1:3",
            ],
            true,
        );
        let own = |link: &LinkPlan| {
            let config = link.uri.options().config();
            let latency = Duration::from(config.receiver_latency()).as_millis();
            let conn_timeo = link.uri.options().get(SocketOption::ConnTimeo).unwrap().to_string();
            let secret =
                |text: &str| config.passphrase() == srt::Passphrase::new(text.as_bytes()).ok().as_ref();
            (latency, conn_timeo, secret("open sesame"), secret("open barley"), link.weight)
        };
        let found: Vec<_> = plan.links.iter().map(own).collect();
        let expected = [
            (300, "900".to_owned(), true, false, 7),
            (300, "800".to_owned(), false, true, 0),
            (300, "900".to_owned(), true, false, 0),
        ];
        assert_eq!(found, expected);
        let labels: Vec<&str> = plan.links.iter().map(|link| link.label.as_str()).collect();
        assert_eq!(labels, ["127.0.0.1:1 from 127.0.0.2:4001", "127.0.0.1:2", "127.0.0.1:3"]);
    }

    #[test]
    fn an_adapter_is_an_interface_or_an_address_and_a_host_is_called() {
        assert_eq!(
            as_meant("srt://h:1?adapter=lo&latency=9"),
            "srt://h:1?bindtodevice=lo&latency=9&mode=caller"
        );
        assert_eq!(as_meant("srt://h:1?adapter=wwan7"), "srt://h:1?bindtodevice=wwan7&mode=caller");
        assert_eq!(as_meant("srt://h:1?adapter=10.0.0.2"), "srt://h:1?adapter=10.0.0.2&mode=caller");
        assert_eq!(as_meant("srt://h:1?adapter=[fe80::1]"), "srt://h:1?adapter=[fe80::1]&mode=caller");
        assert_eq!(
            as_meant("srt://h:1?mode=listener&adapter=a.example"),
            "srt://h:1?mode=listener&adapter=a.example"
        );
        assert_eq!(as_meant("srt://:1?latency=9"), "srt://:1?latency=9");
        assert_eq!(as_meant("srt://h:1"), "srt://h:1");
        let plan = plan(&["srt://127.0.0.1:1?adapter=lo", "srt://127.0.0.1:1"], true);
        assert_eq!(plan.links[0].label, "127.0.0.1:1 via lo");
        assert_eq!(plan.links[1].label, "127.0.0.1:1", "the way is that of one link");
        let said = read(&["srt://127.0.0.1:1?adapter=127.0.0.1"], false).unwrap_err().to_string();
        assert!(said.contains("rendezvous"), "as srt-live-transmit has it: {said}");
    }

    #[test]
    fn a_group_of_libsrt_is_several_addresses() {
        let text = "srt:////group?type=backup&latency=200&nodes=h:1?weight=2?source=10.0.0.2:0?srto.conntimeo=900,[::1]:2&x=y";
        let (mode, nodes) = group_address(text).unwrap().unwrap();
        assert_eq!(mode, GroupMode::Backup);
        assert_eq!(
            nodes,
            [
                "srt://h:1?latency=200&x=y&weight=2&bind=10.0.0.2:0&conntimeo=900&mode=caller",
                "srt://[::1]:2?latency=200&x=y&mode=caller"
            ]
        );
        let text = "srt:////group?nodes=127.0.0.1:1?srto.conntimeo=900,127.0.0.1:2&latency=200&cryptomode=2";
        let plan = plan(&[text], false);
        assert_eq!((plan.mode, plan.len()), (GroupMode::Broadcast, 2));
        let conn_timeo =
            |link: &LinkPlan| link.uri.options().get(SocketOption::ConnTimeo).unwrap().to_string();
        assert_eq!(
            plan.links.iter().map(conn_timeo).collect::<Vec<_>>(),
            ["900", "3000"],
            "each node for itself"
        );
        assert_eq!(largest_message(text), 1_440);
        for other in ["srt://h:1", "srt://group:1?nodes=h:1", "udp:////group?nodes=h:1", "a"] {
            assert_eq!(group_address(other), Ok(None), "{other}");
        }
    }

    #[test]
    fn listeners_of_our_own_take_groups_unless_told_otherwise() {
        let takes = |texts: &[&str], own| match read(texts, own) {
            Ok(Ends::Listeners(uris)) => {
                uris.iter().map(|uri| uri.options().config().group_connect()).collect::<Vec<_>>()
            }
            other => panic!("{texts:?}: {other:?}"),
        };
        assert_eq!(
            takes(&["srt://:1", "srt://:2?groupconnect=0", "srt://:3?workers=2"], true),
            [true, false, false]
        );
        assert_eq!(takes(&["srt://:1"], false), [false]);
        assert_eq!(takes(&["srt://:1?groupconnect=1"], false), [true]);
    }

    #[test]
    fn a_contradiction_is_told_where_values_differ_in_meaning() {
        assert!(read(&["srt://127.0.0.1:1", "srt://127.0.0.1:2?latency=120ms"], true).is_ok());
        let said = read(&["srt://127.0.0.1:1?streamid=a", "srt://127.0.0.1:2?streamid=b"], true).unwrap_err();
        let says = "srt://127.0.0.1:2?streamid=b: streamid=b contradicts the first address, which has a; say it there, for all links";
        assert_eq!((said.to_string().as_str(), said.exit_code()), (says, 2));
    }
}
