//! `null://`, and `test://` as an output: messages go nowhere (those of `test://` are checked on their way there).

use super::{MediaUri, Sink, Wrote};
use crate::batch::Batch;
use crate::error::Failure;

/// Takes everything.
#[derive(Debug)]
pub(crate) struct NullSink;

impl NullSink {
    /// # Errors
    /// Any parameter: there are none.
    pub(crate) fn open(uri: &MediaUri) -> Result<Self, Failure> {
        uri.allow(&[], "none as an output")?;
        Ok(Self)
    }
}

impl Sink for NullSink {
    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        Ok(Wrote::Messages(batch.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_takes_everything_and_knows_no_parameter() {
        let mut batch = Batch::default();
        batch.push(b"x", None);
        let uri = MediaUri::parse("null://").unwrap();
        assert_eq!(NullSink::open(&uri).unwrap().write(&batch).unwrap(), Wrote::Messages(1));
        let wrong = NullSink::open(&MediaUri::parse("null://?rate=8M").unwrap()).unwrap_err();
        assert!(wrong.to_string().contains("unknown parameter \"rate\""));
    }
}
