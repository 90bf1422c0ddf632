//! LiveCC: the rate a live stream may take (draft §5.1).

use crate::{
    config::Config,
    packet::{HEADER_SIZE, UDP_IP_OVERHEAD},
    time::{Instant, Micros},
};

/// The sending rate of a live stream from MAXBW, INPUTBW, MININPUTBW and OHEADBW.
///
/// - MAXBW > 0: that many bytes per second, all of it, retransmissions included.
/// - MAXBW = −1: unlimited. libsrt paces at 1 Gb/s then (`common.h: BW_INFINITE`).
/// - MAXBW = 0: the input rate and OHEADBW percent. The input rate is INPUTBW; or, where that is 0 too, what is measured,
///   at least MININPUTBW. Until there is a measurement the rate is unlimited.
#[derive(Clone, Debug)]
pub struct LiveRate {
    max_bw: i64,
    input_bw: i64,
    min_input_bw: i64,
    overhead_percent: u64,
    input: InputRate,
}

impl LiveRate {
    /// With the options of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut rate = Self {
            max_bw: -1,
            input_bw: 0,
            min_input_bw: 0,
            overhead_percent: 0,
            input: InputRate::default(),
        };
        rate.configure(config);
        rate
    }

    /// Takes changed options.
    pub fn configure(&mut self, config: &Config) {
        self.max_bw = config.max_bw();
        self.input_bw = config.input_bw();
        self.min_input_bw = config.min_input_bw();
        self.overhead_percent = u64::from(config.overhead_percent());
    }

    /// The application gave a message; true where the rate changed.
    pub fn on_input(&mut self, now: Instant, payload_len: usize) -> bool {
        self.max_bw == 0 && self.input_bw == 0 && self.input.on_message(now, payload_len)
    }

    /// Bytes per second on the wire, headers of IP, UDP and SRT included; `None` is unlimited.
    #[must_use]
    pub fn bytes_per_second(&self) -> Option<u64> {
        match (u64::try_from(self.max_bw), u64::try_from(self.input_bw)) {
            (Err(_), _) => None,
            (Ok(rate @ 1..), _) => Some(rate),
            (Ok(0), Ok(rate @ 1..)) => Some(self.with_overhead(rate)),
            (Ok(0), _) => {
                let least = u64::try_from(self.min_input_bw).unwrap_or_default();
                self.input.rate.map(|rate| self.with_overhead(rate.max(least)))
            }
        }
    }

    const fn with_overhead(&self, rate: u64) -> u64 {
        rate.saturating_mul(100 + self.overhead_percent) / 100
    }
}

/// What the application gives per second, measured as libsrt does: first over half a second or 2000 packets, then over
/// each second.
#[derive(Clone, Debug, Default)]
struct InputRate {
    start: Option<Instant>,
    packets: u32,
    bytes: u64,
    rate: Option<u64>,
}

const FAST_START: Micros = Micros::from_millis(500);
const FAST_START_PACKETS: u32 = 2_000;
const PERIOD: Micros = Micros::from_secs(1);

impl InputRate {
    fn on_message(&mut self, now: Instant, payload_len: usize) -> bool {
        let start = *self.start.get_or_insert(now);
        let elapsed = now.saturating_since(start);
        let first = self.rate.is_none();
        let over = if first {
            elapsed >= FAST_START || self.packets >= FAST_START_PACKETS && !elapsed.is_zero()
        } else {
            elapsed >= PERIOD
        };
        if over {
            self.rate = Some((self.bytes * 1_000_000 / elapsed.as_micros().max(1)).max(1));
            (self.start, self.packets, self.bytes) = (Some(now), 0, 0);
        }
        self.packets += 1;
        self.bytes += (payload_len + HEADER_SIZE + UDP_IP_OVERHEAD) as u64;
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SocketOption;

    fn rate(options: &[(SocketOption, i64)]) -> LiveRate {
        let mut config = Config::live();
        for &(option, value) in options {
            if option == SocketOption::OheadBw {
                config.set(option, i32::try_from(value).unwrap()).unwrap();
            } else {
                config.set(option, value).unwrap();
            }
        }
        LiveRate::new(&config)
    }

    #[test]
    fn without_maxbw_there_is_no_limit() {
        assert_eq!(rate(&[]).bytes_per_second(), None);
    }

    #[test]
    fn maxbw_is_the_whole_rate() {
        assert_eq!(rate(&[(SocketOption::MaxBw, 1_000_000)]).bytes_per_second(), Some(1_000_000));
    }

    #[test]
    fn inputbw_gets_the_overhead_on_top() {
        let options =
            [(SocketOption::MaxBw, 0), (SocketOption::InputBw, 1_000_000), (SocketOption::OheadBw, 40)];
        assert_eq!(rate(&options).bytes_per_second(), Some(1_400_000));
    }

    #[test]
    fn the_input_rate_is_measured_and_has_a_floor() {
        let mut rate = rate(&[(SocketOption::MaxBw, 0), (SocketOption::MinInputBw, 100_000)]);
        assert_eq!(rate.bytes_per_second(), None);
        for n in 0..=1_000_u64 {
            rate.on_input(Instant::from_micros(n * 1_000), 956);
        }
        assert_eq!(rate.bytes_per_second(), Some(1_250_000));
        for n in 0..30_u64 {
            rate.on_input(Instant::from_micros(2_000_000 + n * 100_000), 956);
        }
        assert_eq!(rate.bytes_per_second(), Some(125_000));
    }
}
