//! Requests of Prometheus' remote-write protocol 1.0: a protobuf message `WriteRequest`, compressed by Snappy.
//!
//! The message is so small that it is written by hand: `WriteRequest { repeated TimeSeries timeseries = 1; }`,
//! `TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; }`, `Label { string name = 1; string value = 2; }`,
//! `Sample { double value = 1; int64 timestamp = 2; }` (prometheus/prompb/types.proto).

/// The wire types of fields.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// A request while it is put together.
#[derive(Debug, Default)]
pub(super) struct Request {
    message: Vec<u8>,
    /// Series in it.
    pub(super) series: u64,
    /// Samples in it.
    pub(super) samples: u64,
}

impl Request {
    /// Adds a series; labels come sorted by name, `__name__` among them, samples in the order of time.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], samples: impl Iterator<Item = (f64, i64)>) {
        let mut series = Vec::new();
        for (name, value) in labels {
            let mut label = Vec::with_capacity(name.len() + value.len() + 8);
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut series, 1, &label);
        }
        for (value, at_ms) in samples {
            let mut sample = Vec::with_capacity(20);
            varint(&mut sample, 1 << 3 | FIXED64);
            sample.extend_from_slice(&value.to_le_bytes());
            varint(&mut sample, 2 << 3 | VARINT);
            // A negative number is written as the 64 bits of its two's complement.
            varint(&mut sample, at_ms.cast_unsigned());
            bytes(&mut series, 2, &sample);
            self.samples += 1;
        }
        bytes(&mut self.message, 1, &series);
        self.series += 1;
    }

    /// The request's body.
    pub(super) fn body(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.message)
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn a_request_is_the_protobuf_message_that_the_protocol_describes() {
        let mut request = Request::default();
        request.add(&[("a", "b")], [(1.0, 300)].into_iter());
        #[rustfmt::skip]
        let expected = [
            0x0a, 0x16, // timeseries, 22 bytes
            0x0a, 0x06, 0x0a, 0x01, b'a', 0x12, 0x01, b'b', // label
            0x12, 0x0c, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02, // sample
        ];
        assert_eq!(request.message, expected);
        let body = request.body().unwrap();
        assert_eq!(snap::raw::Decoder::new().decompress_vec(&body).unwrap(), expected);
    }
}
