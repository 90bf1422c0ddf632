//! The Stream ID: what a caller tells the listener before it is accepted (draft App. B).
//!
//! Any text will do. The convention of libsrt's access control gives it keys, in one of two forms:
//! - `#!::u=admin,r=bluesbrothers1_hi`: pairs separated by commas, no nesting; a value ends at the next comma and may
//!   hold anything else, also `=` and braces;
//! - `#!:{u=admin,x_acme={id=7,lang=en}}`: pairs in braces, where a value may again be a block in braces; neither braces
//!   nor commas stand in its texts.
//!
//! There is no escape for the characters that end a value. Any other text is a plain name. libsrt: its manual's page on
//! access control.

use core::fmt::{self, Write as _};

use super::value::OptionValue;

/// Most bytes of a Stream ID.
pub const STREAM_ID_MAX: usize = 512;

/// How a Stream ID with flat pairs begins.
const FLAT: &str = "#!::";

/// How a Stream ID with nested pairs begins; the brace belongs to the block.
const NESTED: &str = "#!:{";

/// Deepest nesting that is read or built: far more than anyone uses, and too little to matter to the stack.
const DEEPEST: usize = 16;

/// A Stream ID taken apart: a plain name, or pairs of keys and values.
///
/// Whoever decides about a caller should look at the keys it knows and decide on those alone: the text is whatever the
/// caller chose. A key that stands twice is refused, so that two readers cannot read two things.
///
/// ```
/// use srt_protocol::config::{StreamId, StreamMode, StreamType};
///
/// let id = StreamId::parse(b"#!::u=johnny,t=file,m=publish,r=results.csv")?;
/// assert_eq!(id.user(), Some("johnny"));
/// assert_eq!(id.stream_type(), StreamType::File);
/// assert_eq!(id.mode(), StreamMode::Publish);
///
/// let id = StreamId::with_keys().user("admin").resource("bluesbrothers1_hi").build()?;
/// assert_eq!(id.to_string(), "#!::u=admin,r=bluesbrothers1_hi");
/// # Ok::<(), srt_protocol::config::StreamIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(Form);

/// Keys and their values, in the order given.
type Pairs = Vec<(String, StreamIdValue)>;

/// The two ways to read a Stream ID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    Plain(String),
    Pairs { nested: bool, pairs: Pairs },
}

/// Value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamIdValue {
    /// Text.
    Text(String),
    /// Pairs of their own, in braces.
    Block(Vec<(String, Self)>),
}

impl StreamIdValue {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Block(_) => None,
        }
    }
}

impl From<&str> for StreamIdValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for StreamIdValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<(String, Self)>> for StreamIdValue {
    fn from(pairs: Vec<(String, Self)>) -> Self {
        Self::Block(pairs)
    }
}

/// Purpose of a connection: key `t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamType<'a> {
    /// `stream`, also when the key is not there: payload for the application's own purpose.
    #[default]
    Stream,
    /// `file`: a file, whose name is the resource.
    File,
    /// `auth`: sensitive data, whose purpose is the resource.
    Auth,
    /// A type of the user's own.
    Other(&'a str),
}

/// Direction that a caller wants: key `m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamMode<'a> {
    /// `request`, also when the key is not there: the caller wants to receive.
    #[default]
    Request,
    /// `publish`: the caller wants to send.
    Publish,
    /// `bidirectional`: both.
    Bidirectional,
    /// A word that the convention does not know.
    Other(&'a str),
}

impl StreamId {
    /// Reads the Stream ID of a caller.
    ///
    /// Text that begins neither with `#!::` nor with `#!:{` is a plain name. Empty items between commas are passed over.
    ///
    /// # Errors
    /// [`StreamIdError`] if it is longer than 512 bytes or no UTF-8, or if it begins like pairs and is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, StreamIdError> {
        if bytes.len() > STREAM_ID_MAX {
            return Err(StreamIdError::TooLong { len: bytes.len() });
        }
        let text = str::from_utf8(bytes).map_err(|_| StreamIdError::NotUtf8)?;
        if let Some(content) = text.strip_prefix(FLAT) {
            Ok(Self(Form::Pairs { nested: false, pairs: parse_flat(content)? }))
        } else if let Some(content) = text.strip_prefix(NESTED) {
            let (pairs, rest) = parse_block(content, 1)?;
            if rest.is_empty() {
                Ok(Self(Form::Pairs { nested: true, pairs }))
            } else {
                Err(StreamIdError::AfterEnd)
            }
        } else {
            Ok(Self(Form::Plain(text.to_owned())))
        }
    }

    /// A plain name.
    ///
    /// # Errors
    /// [`StreamIdError`] if it is longer than 512 bytes, or would be read as pairs.
    pub fn plain(name: impl Into<String>) -> Result<Self, StreamIdError> {
        let name = name.into();
        if name.len() > STREAM_ID_MAX {
            return Err(StreamIdError::TooLong { len: name.len() });
        }
        if name.starts_with(FLAT) || name.starts_with(NESTED) {
            return Err(StreamIdError::NotPlain);
        }
        Ok(Self(Form::Plain(name)))
    }

    /// Begins a Stream ID of pairs.
    pub fn with_keys() -> StreamIdBuilder {
        StreamIdBuilder { pairs: Vec::new() }
    }

    /// The plain name, if it is one (it may be empty).
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Form::Plain(name) => Some(name),
            Form::Pairs { .. } => None,
        }
    }

    /// Every pair in the order given, known or not; none for a plain name.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &StreamIdValue)> {
        let pairs = match &self.0 {
            Form::Plain(_) => [].as_slice(),
            Form::Pairs { pairs, .. } => pairs,
        };
        pairs.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Value of `key`.
    pub fn get(&self, key: &str) -> Option<&StreamIdValue> {
        self.pairs().find_map(|(known, value)| (known == key).then_some(value))
    }

    /// Text of `key`, if it is there and no block.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// User name (`u`), by which a listener chooses the passphrase.
    pub fn user(&self) -> Option<&str> {
        self.text("u")
    }

    /// Resource (`r`): what of the listener's the caller wants, such as a stream or a file.
    pub fn resource(&self) -> Option<&str> {
        self.text("r")
    }

    /// Host of the resource (`h`).
    pub fn host(&self) -> Option<&str> {
        self.text("h")
    }

    /// Session (`s`): a one-time identifier agreed upon over another connection.
    pub fn session(&self) -> Option<&str> {
        self.text("s")
    }

    /// Purpose of the connection (`t`).
    pub fn stream_type(&self) -> StreamType<'_> {
        match self.word("t") {
            None | Some("stream") => StreamType::Stream,
            Some("file") => StreamType::File,
            Some("auth") => StreamType::Auth,
            Some(other) => StreamType::Other(other),
        }
    }

    /// Direction that the caller wants (`m`).
    pub fn mode(&self) -> StreamMode<'_> {
        match self.word("m") {
            None | Some("request") => StreamMode::Request,
            Some("publish") => StreamMode::Publish,
            Some("bidirectional") => StreamMode::Bidirectional,
            Some(other) => StreamMode::Other(other),
        }
    }

    /// Text of `key`; empty for a block, so that it counts as an unknown word and not as a missing key.
    fn word(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| value.as_text().unwrap_or_default())
    }
}

/// The text that goes into the handshake. Reading it again gives the same Stream ID.
impl fmt::Display for StreamId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Plain(name) => out.write_str(name),
            Form::Pairs { nested: false, pairs } => {
                out.write_str(FLAT)?;
                write_pairs(out, pairs)
            }
            Form::Pairs { nested: true, pairs } => {
                out.write_str(NESTED)?;
                write_pairs(out, pairs)?;
                out.write_char('}')
            }
        }
    }
}

impl From<&StreamId> for OptionValue {
    fn from(id: &StreamId) -> Self {
        Self::from(id.to_string())
    }
}

/// Puts a [`StreamId`] of pairs together; made by [`StreamId::with_keys`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct StreamIdBuilder {
    pairs: Pairs,
}

impl StreamIdBuilder {
    /// User name (`u`).
    pub fn user(self, name: impl Into<String>) -> Self {
        self.key("u", name.into())
    }

    /// Resource (`r`).
    pub fn resource(self, name: impl Into<String>) -> Self {
        self.key("r", name.into())
    }

    /// Host of the resource (`h`).
    pub fn host(self, name: impl Into<String>) -> Self {
        self.key("h", name.into())
    }

    /// Session (`s`).
    pub fn session(self, id: impl Into<String>) -> Self {
        self.key("s", id.into())
    }

    /// Purpose of the connection (`t`).
    pub fn stream_type(self, purpose: StreamType<'_>) -> Self {
        self.key(
            "t",
            match purpose {
                StreamType::Stream => "stream",
                StreamType::File => "file",
                StreamType::Auth => "auth",
                StreamType::Other(other) => other,
            },
        )
    }

    /// Direction that the caller wants (`m`).
    pub fn mode(self, mode: StreamMode<'_>) -> Self {
        self.key(
            "m",
            match mode {
                StreamMode::Request => "request",
                StreamMode::Publish => "publish",
                StreamMode::Bidirectional => "bidirectional",
                StreamMode::Other(other) => other,
            },
        )
    }

    /// Any key. Single letters are reserved by the convention; an own key begins with the name of its owner: `acme_id`.
    pub fn key(mut self, key: impl Into<String>, value: impl Into<StreamIdValue>) -> Self {
        self.pairs.push((key.into(), value.into()));
        self
    }

    /// The Stream ID: in the flat form, or nested if a value is a block.
    ///
    /// # Errors
    /// [`StreamIdError`] if a key stands twice or is empty, if a key or a value holds a character that would end it, or
    /// if the whole is longer than 512 bytes.
    pub fn build(self) -> Result<StreamId, StreamIdError> {
        let nested = self.pairs.iter().any(|(_, value)| matches!(value, StreamIdValue::Block(_)));
        check_pairs(&self.pairs, nested, 1)?;
        let id = StreamId(Form::Pairs { nested, pairs: self.pairs });
        match id.to_string().len() {
            len if len > STREAM_ID_MAX => Err(StreamIdError::TooLong { len }),
            _ => Ok(id),
        }
    }
}

/// What is wrong with a Stream ID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamIdError {
    /// It is longer than the handshake lets it be.
    #[error("stream ID of {len} bytes; allowed: at most {STREAM_ID_MAX}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It is no text.
    #[error("stream ID is not UTF-8")]
    NotUtf8,
    /// An item has no `=`.
    #[error("stream ID: {item:?} has no `=`; pairs are `key=value`")]
    NoValue {
        /// The item.
        item: String,
    },
    /// There is nothing before a `=`.
    #[error("stream ID: a key is empty")]
    EmptyKey,
    /// A key stands twice.
    #[error("stream ID: key {key:?} stands twice")]
    RepeatedKey {
        /// The key.
        key: String,
    },
    /// A key or a value holds a character that means something else there.
    #[error("stream ID: {character:?} cannot stand in {text:?}")]
    Forbidden {
        /// The key or value.
        text: String,
        /// The character.
        character: char,
    },
    /// A `{` has no `}`.
    #[error("stream ID: a `{{` is not closed")]
    Unclosed,
    /// Something follows the `}` that closes a block.
    #[error("stream ID: text behind the end of a block")]
    AfterEnd,
    /// Blocks within blocks within blocks.
    #[error("stream ID: nested deeper than {DEEPEST} levels")]
    TooDeep,
    /// A plain name that begins as pairs do.
    #[error("stream ID: a plain name cannot begin with `#!::` or `#!:{{`")]
    NotPlain,
}

/// The pairs of a flat content.
fn parse_flat(content: &str) -> Result<Pairs, StreamIdError> {
    let mut pairs = Vec::new();
    for item in content.split(',').filter(|item| !item.is_empty()) {
        let (key, value) =
            item.split_once('=').ok_or_else(|| StreamIdError::NoValue { item: item.to_owned() })?;
        add_pair(&mut pairs, key, StreamIdValue::from(value))?;
    }
    Ok(pairs)
}

/// The pairs of a block whose `{` is already taken, and the text behind its `}`.
fn parse_block(content: &str, depth: usize) -> Result<(Pairs, &str), StreamIdError> {
    if depth > DEEPEST {
        return Err(StreamIdError::TooDeep);
    }
    let mut pairs = Vec::new();
    let mut rest = content;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok((pairs, behind));
        }
        let end = rest.find(['=', ',', '{', '}']).ok_or(StreamIdError::Unclosed)?;
        let (key, behind) = rest.split_at(end);
        let Some(value) = behind.strip_prefix('=') else {
            return Err(match behind.chars().next() {
                Some('{') => StreamIdError::Forbidden { text: key.to_owned(), character: '{' },
                _ => StreamIdError::NoValue { item: key.to_owned() },
            });
        };
        if let Some(block) = value.strip_prefix('{') {
            let (inner, behind) = parse_block(block, depth + 1)?;
            add_pair(&mut pairs, key, StreamIdValue::Block(inner))?;
            rest = behind;
            if !rest.starts_with([',', '}']) {
                return Err(if rest.is_empty() { StreamIdError::Unclosed } else { StreamIdError::AfterEnd });
            }
        } else {
            let end = value.find([',', '{', '}']).ok_or(StreamIdError::Unclosed)?;
            let (text, behind) = value.split_at(end);
            if behind.starts_with('{') {
                return Err(StreamIdError::Forbidden { text: text.to_owned(), character: '{' });
            }
            add_pair(&mut pairs, key, StreamIdValue::from(text))?;
            rest = behind;
        }
    }
}

/// Adds a pair that was read, if its key is new and not empty.
fn add_pair(pairs: &mut Pairs, key: &str, value: StreamIdValue) -> Result<(), StreamIdError> {
    check_key(pairs, key)?;
    pairs.push((key.to_owned(), value));
    Ok(())
}

/// Whether `key` may join `pairs`.
fn check_key(pairs: &[(String, StreamIdValue)], key: &str) -> Result<(), StreamIdError> {
    if key.is_empty() {
        Err(StreamIdError::EmptyKey)
    } else if pairs.iter().any(|(known, _)| known == key) {
        Err(StreamIdError::RepeatedKey { key: key.to_owned() })
    } else {
        Ok(())
    }
}

/// Whether pairs that were built will be read as the same pairs.
fn check_pairs(pairs: &[(String, StreamIdValue)], nested: bool, depth: usize) -> Result<(), StreamIdError> {
    if depth > DEEPEST {
        return Err(StreamIdError::TooDeep);
    }
    let (not_in_keys, not_in_values): (&[char], &[char]) =
        if nested { (&['=', ',', '{', '}'], &[',', '{', '}']) } else { (&['=', ','], &[',']) };
    let check_text =
        |text: &str, forbidden: &[char]| match text.chars().find(|letter| forbidden.contains(letter)) {
            Some(character) => Err(StreamIdError::Forbidden { text: text.to_owned(), character }),
            None => Ok(()),
        };
    for (index, (key, value)) in pairs.iter().enumerate() {
        check_key(&pairs[..index], key)?;
        check_text(key, not_in_keys)?;
        match value {
            StreamIdValue::Text(text) => check_text(text, not_in_values)?,
            StreamIdValue::Block(block) => check_pairs(block, nested, depth + 1)?,
        }
    }
    Ok(())
}

/// Writes `key=value,key={key=value}`.
fn write_pairs(out: &mut fmt::Formatter<'_>, pairs: &[(String, StreamIdValue)]) -> fmt::Result {
    for (index, (key, value)) in pairs.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{key}=")?;
        match value {
            StreamIdValue::Text(text) => out.write_str(text)?,
            StreamIdValue::Block(block) => {
                out.write_char('{')?;
                write_pairs(out, block)?;
                out.write_char('}')?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<StreamId, StreamIdError> {
        StreamId::parse(text.as_bytes())
    }

    fn block(pairs: &[(&str, &str)]) -> StreamIdValue {
        StreamIdValue::Block(pairs.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect())
    }

    #[test]
    fn the_manuals_first_example_names_a_user_and_a_resource() {
        let id = parse("#!::u=admin,r=bluesbrothers1_hi").unwrap();
        assert_eq!((id.user(), id.resource()), (Some("admin"), Some("bluesbrothers1_hi")));
        assert_eq!((id.stream_type(), id.mode()), (StreamType::Stream, StreamMode::Request));
        assert_eq!((id.host(), id.session(), id.name()), (None, None, None));
    }

    #[test]
    fn the_manuals_second_example_publishes_a_file() {
        let id = parse("#!::u=johnny,t=file,m=publish,r=results.csv").unwrap();
        assert_eq!((id.user(), id.resource()), (Some("johnny"), Some("results.csv")));
        assert_eq!((id.stream_type(), id.mode()), (StreamType::File, StreamMode::Publish));
    }

    #[test]
    fn the_manuals_resource_with_a_query_keeps_its_equals_sign() {
        let id = parse("#!::h=somehost.com,r=videos/query.php?vid=366,s=x1").unwrap();
        assert_eq!(id.resource(), Some("videos/query.php?vid=366"));
        assert_eq!((id.host(), id.session()), (Some("somehost.com"), Some("x1")));
    }

    #[test]
    fn text_without_the_prefix_is_a_plain_name() {
        for text in
            ["", "live/stream", "#!", "#!:", "#!:u=admin", "#!R{u=admin}", "!::u=admin", " #!::u=admin"]
        {
            let id = parse(text).unwrap();
            assert_eq!(id.name(), Some(text));
            assert_eq!((id.user(), id.pairs().len()), (None, 0), "{text}");
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn unknown_keys_keep_their_place_and_their_text() {
        let text = "#!::acme_id=7,u=admin,x=,Ärger=ü";
        let id = parse(text).unwrap();
        assert_eq!(id.pairs().map(|(key, _)| key).collect::<Vec<_>>(), ["acme_id", "u", "x", "Ärger"]);
        assert_eq!((id.text("acme_id"), id.text("x"), id.text("y")), (Some("7"), Some(""), None));
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn other_types_and_modes_are_told_as_they_are() {
        let id = parse("#!::t=auth,m=bidirectional").unwrap();
        assert_eq!((id.stream_type(), id.mode()), (StreamType::Auth, StreamMode::Bidirectional));
        let id = parse("#!::t=Stream,m=both").unwrap();
        assert_eq!((id.stream_type(), id.mode()), (StreamType::Other("Stream"), StreamMode::Other("both")));
        let id = parse("#!:{t={file},m={}}").map(|_| ());
        assert!(id.is_err(), "a block holds pairs");
        let id = parse("#!:{t={},m={a=request}}").unwrap();
        assert_eq!((id.stream_type(), id.mode()), (StreamType::Other(""), StreamMode::Other("")));
    }

    #[test]
    fn an_error_shows_a_peers_control_characters_escaped() {
        let error = parse("#!::u\u{1b}[2J\n").unwrap_err();
        assert_eq!(error.to_string(), r#"stream ID: "u\u{1b}[2J\n" has no `=`; pairs are `key=value`"#);
    }

    #[test]
    fn blocks_nest() {
        let text = "#!:{u=admin,acme={id=7,more={a=,b=x=y}},r=cam}";
        let id = parse(text).unwrap();
        assert_eq!((id.user(), id.resource()), (Some("admin"), Some("cam")));
        let Some(StreamIdValue::Block(acme)) = id.get("acme") else { panic!("acme is a block") };
        assert_eq!(acme[0], ("id".to_owned(), "7".into()));
        assert_eq!(acme[1], ("more".to_owned(), block(&[("a", ""), ("b", "x=y")])));
        assert_eq!(id.text("acme"), None, "a block is no text");
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn braces_are_plain_letters_in_the_flat_form() {
        let id = parse("#!::r={a=b},{=}").unwrap();
        assert_eq!((id.resource(), id.text("{")), (Some("{a=b}"), Some("}")));
    }

    #[test]
    fn empty_items_are_passed_over() {
        assert_eq!(parse("#!::,u=admin,,r=x,").unwrap().to_string(), "#!::u=admin,r=x");
        assert_eq!(parse("#!:{,u=admin,,r={,},}").unwrap().to_string(), "#!:{u=admin,r={}}");
        assert_eq!(parse("#!::").unwrap().pairs().len(), 0);
        assert_eq!(parse("#!:{}").unwrap().pairs().len(), 0);
    }

    #[test]
    fn malformed_pairs_are_named() {
        use StreamIdError as E;
        let text = |text: &str| text.to_owned();
        assert_eq!(parse("#!::u"), Err(E::NoValue { item: text("u") }));
        assert_eq!(parse("#!::=admin"), Err(E::EmptyKey));
        assert_eq!(parse("#!::u=a,u=b"), Err(E::RepeatedKey { key: text("u") }));
        assert_eq!(parse("#!:{u}"), Err(E::NoValue { item: text("u") }));
        assert_eq!(parse("#!:{u,r=x}"), Err(E::NoValue { item: text("u") }));
        assert_eq!(parse("#!:{=a}"), Err(E::EmptyKey));
        assert_eq!(parse("#!:{a={u=1,u=2}}"), Err(E::RepeatedKey { key: text("u") }));
        assert_eq!(parse("#!:{u{=a}"), Err(E::Forbidden { text: text("u"), character: '{' }));
        assert_eq!(parse("#!:{u=a{b}}"), Err(E::Forbidden { text: text("a"), character: '{' }));
        assert_eq!(parse("#!:{u=a}}"), Err(E::AfterEnd));
        assert_eq!(parse("#!:{a={b=c}d=e}"), Err(E::AfterEnd));
        for open in ["#!:{", "#!:{u", "#!:{u=", "#!:{u=a", "#!:{u=a,", "#!:{u={b=c}", "#!:{u={b=c"] {
            assert_eq!(parse(open), Err(E::Unclosed), "{open}");
        }
        assert_eq!(StreamId::parse(b"name\xFF"), Err(E::NotUtf8));
    }

    #[test]
    fn length_and_depth_have_an_end() {
        let longest = "x".repeat(STREAM_ID_MAX);
        assert!(parse(&longest).is_ok() && StreamId::plain(longest.clone()).is_ok());
        assert_eq!(parse(&(longest.clone() + "x")), Err(StreamIdError::TooLong { len: 513 }));
        assert_eq!(StreamId::plain(longest.clone() + "x"), Err(StreamIdError::TooLong { len: 513 }));
        let fits = StreamId::with_keys().user(&longest[..506]).build().unwrap();
        assert_eq!(fits.to_string().len(), STREAM_ID_MAX);
        assert_eq!(
            StreamId::with_keys().user(&longest[..507]).build(),
            Err(StreamIdError::TooLong { len: 513 })
        );

        let nest = |levels: usize| format!("#!:{{{}{}", "a={".repeat(levels - 1), "}".repeat(levels));
        assert!(parse(&nest(DEEPEST)).is_ok());
        assert_eq!(parse(&nest(DEEPEST + 1)), Err(StreamIdError::TooDeep));
        assert_eq!(parse(&format!("#!:{{{}", "a={".repeat(169))), Err(StreamIdError::TooDeep));
        let mut value = block(&[]);
        for _ in 2..DEEPEST {
            value = StreamIdValue::Block(vec![("a".to_owned(), value)]);
        }
        assert!(StreamId::with_keys().key("a", value.clone()).build().is_ok());
        let deeper = StreamIdValue::Block(vec![("a".to_owned(), value)]);
        assert_eq!(StreamId::with_keys().key("a", deeper).build(), Err(StreamIdError::TooDeep));
    }

    #[test]
    fn a_builder_writes_the_convention() {
        let id = StreamId::with_keys()
            .user("admin")
            .resource("cam=1")
            .host("example.com")
            .session("s1")
            .stream_type(StreamType::Auth)
            .mode(StreamMode::Publish)
            .key("acme_id", "{7}")
            .build()
            .unwrap();
        assert_eq!(id.to_string(), "#!::u=admin,r=cam=1,h=example.com,s=s1,t=auth,m=publish,acme_id={7}");
        let nested = StreamId::with_keys().user("admin").key("acme", block(&[("id", "7")])).build().unwrap();
        assert_eq!(nested.to_string(), "#!:{u=admin,acme={id=7}}");
        assert_eq!(OptionValue::from(&nested), OptionValue::from("#!:{u=admin,acme={id=7}}"));
    }

    #[test]
    fn a_builder_refuses_what_would_read_differently() {
        use StreamIdError as E;
        let forbidden = |text: &str, character| Err(E::Forbidden { text: text.to_owned(), character });
        let build = |key: &str, value: &str| StreamId::with_keys().key(key, value).build();
        assert_eq!(build("u", "a,m=publish"), forbidden("a,m=publish", ','));
        assert_eq!(build("u=", "a"), forbidden("u=", '='));
        assert_eq!(build("", "a"), Err(E::EmptyKey));
        let twice = StreamId::with_keys().user("a").user("b").build();
        assert_eq!(twice, Err(E::RepeatedKey { key: "u".to_owned() }));
        let nested = StreamId::with_keys().user("a}").key("x", block(&[])).build();
        assert_eq!(nested, forbidden("a}", '}'));
        assert_eq!(StreamId::plain("#!::u=admin"), Err(E::NotPlain));
        assert_eq!(StreamId::plain("#!:{u=admin}"), Err(E::NotPlain));
    }

    /// Text in which the letters of the syntax are frequent.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop_oneof![
                Just("{"), Just("}"), Just("="), Just(","), Just("u"), Just("r"), Just("#!:"), Just("={"), Just("}}"),
            ].prop_map(str::to_owned),
            1 => "\\PC{0,6}",
        ];
        let prefix = prop_oneof![Just("#!::"), Just("#!:{"), Just("")];
        (prefix, proptest::collection::vec(piece, 0..40))
            .prop_map(|(prefix, pieces)| prefix.to_owned() + &pieces.concat())
    }

    /// Values up to three blocks deep, of letters that may stand in them.
    fn value() -> impl Strategy<Value = StreamIdValue> {
        "[^,{}]{0,8}".prop_map(StreamIdValue::Text).prop_recursive(3, 12, 4, |inner| {
            proptest::collection::btree_map("[^=,{}]{1,4}", inner, 0..4)
                .prop_map(|pairs| StreamIdValue::Block(pairs.into_iter().collect()))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = StreamId::parse(&bytes).map(|id| id.to_string());
        }

        #[test]
        fn what_was_read_is_read_the_same_from_its_display(text in hostile()) {
            if let Ok(id) = parse(&text) {
                let shown = id.to_string();
                prop_assert!(shown.len() <= text.len());
                prop_assert_eq!(parse(&shown), Ok(id));
            }
        }

        #[test]
        fn what_was_built_is_read_back(pairs in proptest::collection::btree_map("[^=,{}]{1,4}", value(), 0..5)) {
            let mut builder = StreamId::with_keys();
            for (key, value) in pairs {
                builder = builder.key(key, value);
            }
            match builder.build() {
                Ok(id) => prop_assert_eq!(parse(&id.to_string()), Ok(id)),
                Err(error) => prop_assert!(matches!(error, StreamIdError::TooLong { .. }), "{}", error),
            }
        }
    }
}
