//! Huffman codes, and the bits that they are read from (ITU-T T.81, annexes C and F.2.2).

use super::Fault;

/// Codes up to this length are looked up in a table.
const SHORT: u32 = 9;

/// A Huffman code: how to find the next symbol.
#[derive(Debug)]
pub(super) struct Code {
    /// For the next [`SHORT`] bits: 256 times the length of the code that they begin with, and its symbol; 0 if it is longer.
    short: Vec<u16>,
    /// For each length: the first code, as a number, behind those of this length.
    end: [u32; 17],
    /// For each length: what is added to a code, as a number, for the place of its symbol.
    shift: [i32; 17],
    symbols: Vec<u8>,
}

impl Code {
    /// The code with `counts[i]` symbols of `i + 1` bits, in order.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Code, Fault> {
        let mut code =
            Code { short: vec![0; 1 << SHORT], end: [0; 17], shift: [0; 17], symbols: symbols.to_vec() };
        let (mut next, mut place) = (0_u32, 0);
        for (length, &count) in (1..).zip(counts) {
            code.shift[length as usize] = place as i32 - next as i32;
            for _ in 0..count {
                if length <= SHORT {
                    let first = (next as usize) << (SHORT - length);
                    let entry = (length as u16) << 8 | u16::from(symbols[place]);
                    let all = first..first + (1 << (SHORT - length));
                    code.short
                        .get_mut(all)
                        .ok_or(Fault::Damaged("a Huffman code that cannot be"))?
                        .fill(entry);
                }
                next += 1;
                place += 1;
            }
            if next > 1 << length {
                return Err(Fault::Damaged("a Huffman code that cannot be"));
            }
            code.end[length as usize] = next;
            next <<= 1;
        }
        Ok(code)
    }
}

/// The bits of a scan, from its first byte to the marker behind it.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Where the next byte is taken.
    at: usize,
    /// The next bits, the first one highest; zeros behind them.
    next: u64,
    /// How many bits there are in `next`.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0, next: 0, count: 0 }
    }

    /// Takes whole bytes until 57 bits are there or a marker stands in the way.
    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes[self.at..] {
                [0xff, 0, ..] => {
                    self.at += 1; // a zero is put behind a byte that would look like a marker
                    0xff
                }
                [0xff, ..] | [] => return,
                [byte, ..] => byte,
            };
            self.at += 1;
            self.next |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn skip(&mut self, count: u32) -> Result<(), Fault> {
        self.count = self.count.checked_sub(count).ok_or(Fault::CutShort)?;
        self.next <<= count;
        Ok(())
    }

    /// The next symbol of `code`.
    #[inline]
    pub(super) fn symbol(&mut self, code: &Code) -> Result<u8, Fault> {
        if self.count < 16 {
            self.fill();
        }
        let entry = code.short[(self.next >> (64 - SHORT)) as usize];
        if entry != 0 {
            self.skip(u32::from(entry >> 8))?;
            return Ok(entry as u8);
        }
        for length in SHORT + 1..=16 {
            let bits = (self.next >> (64 - length)) as u32;
            if bits < code.end[length as usize] {
                self.skip(length)?;
                return Ok(code.symbols[(bits as i32 + code.shift[length as usize]) as usize]);
            }
        }
        // Behind the last bit come zeros, which may be no code.
        Err(if self.count < 16 { Fault::CutShort } else { Fault::Damaged("bits that are no Huffman code") })
    }

    /// The next `count` bits, at most 16, as a number.
    #[inline]
    pub(super) fn number(&mut self, count: u32) -> Result<u32, Fault> {
        if count == 0 {
            return Ok(0);
        }
        if self.count < count {
            self.fill();
        }
        let number = (self.next >> (64 - count)) as u32;
        self.skip(count)?;
        Ok(number)
    }

    /// Whether the next bit is 1.
    #[inline]
    pub(super) fn bit(&mut self) -> Result<bool, Fault> {
        Ok(self.number(1)? == 1)
    }

    /// The next number of `size` bits with its sign (table F.1): of two bits -3, -2, 2, 3.
    #[inline]
    pub(super) fn signed(&mut self, size: u32) -> Result<i32, Fault> {
        let number = self.number(size)? as i32;
        let half = (1 << size) >> 1;
        Ok(if number < half { number - (1 << size) + 1 } else { number })
    }

    /// Drops the rest of the last byte. The place of the marker behind it, or of the end of the file.
    ///
    /// Zeros may stand between; anything else would be pixels for which there is no place.
    pub(super) fn end(&mut self) -> Result<usize, Fault> {
        loop {
            self.fill();
            if self.next << (self.count % 8) != 0 {
                return Err(Fault::Damaged("more pixels than its size"));
            }
            if self.count < 8 {
                break;
            }
            (self.next, self.count) = (0, 0);
        }
        (self.next, self.count) = (0, 0);
        Ok(self.at)
    }

    /// Goes on behind the restart marker of this number, from 0 to 7.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Fault> {
        self.end()?;
        while let [0xff, 0xff, ..] = self.bytes[self.at..] {
            self.at += 1;
        }
        match self.bytes[self.at..] {
            [0xff, kind, ..] if kind == 0xd0 + number => self.at += 2,
            _ => return Err(Fault::CutShort),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes 00, 01, 100, 1010 and one of 12 bits, 101100000000.
    fn code() -> Code {
        let mut counts = [0; 16];
        (counts[1], counts[2], counts[3], counts[11]) = (2, 1, 1, 1);
        Code::new(&counts, &[5, 6, 7, 8, 9]).unwrap()
    }

    #[test]
    fn symbols_and_numbers_are_read() {
        // 00 01 100 1010 101100000000 | 101 0 1 and padding of ones
        let bytes = [0b0001_1001, 0b0101_0110, 0b0000_0001, 0b0101_1111, 0xff, 0xd9];
        let (mut bits, code) = (Bits::new(&bytes), code());
        let symbols: Vec<u8> = (0..5).map(|_| bits.symbol(&code).unwrap()).collect();
        assert_eq!(symbols, [5, 6, 7, 8, 9]);
        assert_eq!(bits.number(3), Ok(5));
        assert_eq!((bits.bit(), bits.bit()), (Ok(false), Ok(true)));
        assert_eq!(bits.end(), Ok(4));
        assert_eq!((bits.bit(), bits.symbol(&code)), (Err(Fault::CutShort), Err(Fault::CutShort)));
    }

    #[test]
    fn numbers_have_signs() {
        // table F.1: 0 is -1; 10 and 01 are 2 and -2; 111 is 7
        let mut bits = Bits::new(&[0b0100_1111]);
        let found = [1, 2, 2, 3, 0].map(|size| bits.signed(size).unwrap());
        assert_eq!(found, [-1, 2, -2, 7, 0]);
    }

    #[test]
    fn markers_end_the_bits() {
        let mut bits = Bits::new(&[0xff, 0, 0xff, 0xff, 0xd3, 0x80, 0, 0, 0xff, 0xd4]);
        assert_eq!(bits.number(7), Ok(0x7f));
        assert_eq!(bits.restart(3), Ok(()));
        assert_eq!(bits.bit(), Ok(true));
        assert_eq!(bits.restart(5), Err(Fault::CutShort), "restart marker 4, zeros in front of it");
        assert_eq!(Bits::new(&[1]).end(), Err(Fault::Damaged("more pixels than its size")));
        assert_eq!(Bits::new(&[0; 100]).end(), Ok(100));
    }

    #[test]
    fn codes_that_cannot_be_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Code::new(&counts, &[1, 2, 3]).is_err());
        counts = [0; 16];
        (counts[0], counts[15]) = (2, 1);
        assert!(Code::new(&counts, &[1, 2, 3]).is_err());
    }
}
