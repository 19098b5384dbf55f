import HTTPKit
import SandboxModel
import Testing

private struct Inner: Decodable, Equatable {
    var size: Int8
    enum CodingKeys: String, CodingKey, CaseIterable { case size }
}

private struct Outer: Decodable, Equatable {
    var name: String
    var flag: Bool?
    var ratio: Double?
    var big: UInt64?
    var inner: Inner?
    var list: [Inner]?
    var map: [String: String]?
    enum CodingKeys: String, CodingKey, CaseIterable { case name, flag, ratio, big, inner, list, map }
}

@Suite struct StrictJSONTests {
    @Test func `a whole document is decoded exactly`() throws {
        let text = #"""
            {"name": "aé\n\u00e9\ud83d\ude00\/", "flag": true, "ratio": -1.5e2, "big": 18446744073709551615,
             "inner": {"size": -128}, "list": [{"size": 1}, {"size": 2}], "map": {"x": "y"}}
            """#
        let value = try StrictJSON.decode(Outer.self, from: Array(text.utf8))
        #expect(value.name == "aé\né😀/")
        #expect(value.ratio == -150)
        #expect(value.big == UInt64.max)
        #expect(value.inner == Inner(size: -128))
        #expect(value.list == [Inner(size: 1), Inner(size: 2)])
        #expect(value.map == ["x": "y"])
    }

    @Test func `null does not stand for an absent field`() throws {
        #expect(try StrictJSON.decode(Outer.self, from: Array(#"{"name":"a"}"#.utf8)).flag == nil)
        #expect(throws: SandboxError.self) {
            try StrictJSON.decode(Outer.self, from: Array(#"{"name":"a","flag":null}"#.utf8))
        }
    }

    @Test func `a whole number may be written with a fraction or an exponent, but must be whole`() throws {
        for (text, size) in [("5.0", 5), ("1.2e1", 12), ("-0.0", 0)] {
            let body = Array(#"{"name":"a","inner":{"size":\#(text)}}"#.utf8)
            #expect(try StrictJSON.decode(Outer.self, from: body).inner?.size == Int8(size))
        }
        for text in ["5.5", "1e3", "1e-1"] {
            let body = Array(#"{"name":"a","inner":{"size":\#(text)}}"#.utf8)
            #expect(throws: SandboxError.self) { try StrictJSON.decode(Outer.self, from: body) }
        }
    }

    @Test(arguments: [
        ("", "invalid_json", "empty"),
        ("   ", "invalid_json", "empty"),
        ("{", "invalid_json", "line 1, column 2"),
        (#"{"name":"a",}"#, "invalid_json", "a key in quotation marks"),
        ("{\n  \"name\": x\n}", "invalid_json", "line 2, column 11"),
        (#"{"name":"a"} x"#, "invalid_json", "after the end"),
        (#"{'name':"a"}"#, "invalid_json", "column 2"),
        (#"{"name":"a" // no"#, "invalid_json", "',' or '}'"),
        (#"{"name":"a","name":"b"}"#, "invalid_json", #"the key "name" occurs twice"#),
        (#"{"name":"\ud800"}"#, "invalid_json", "surrogate"),
        (#"{"name":"\x"}"#, "invalid_json", "escape"),
        ("{\"name\":\"a\nb\"}", "invalid_json", "control character"),
        (#"{"name":"a","ratio":01}"#, "invalid_json", "begin with 0"),
        (#"{"name":"a","ratio":1.}"#, "invalid_json", "digit"),
        (#"{"name":"a","ratio":NaN}"#, "invalid_json", "a value"),
        (#"{"name":"a","ratio":1e999}"#, "invalid_request", "ratio"),
        ("[]", "invalid_request", "The body must be an object, not an array"),
        ("null", "invalid_request", "The body must be an object, not null"),
        ("{}", "invalid_request", "The field name is missing"),
        (#"{"name":1}"#, "invalid_request", "name must be a string, not a number"),
        (#"{"name":null}"#, "invalid_request", "name must be a string, not null"),
        (#"{"name":"a","flag":"true"}"#, "invalid_request", "flag must be true or false, not a string"),
        (#"{"name":"a","big":-1}"#, "invalid_request", "big must be a whole number between 0 and"),
        (#"{"name":"a","big":1.5}"#, "invalid_request", "big must be a whole number"),
        (
            #"{"name":"a","inner":{"size":128}}"#, "invalid_request",
            "inner.size must be a whole number between -128 and 127"
        ),
        (#"{"name":"a","inner":{}}"#, "invalid_request", "The field inner.size is missing"),
        (#"{"name":"a","list":[{"size":1},{"size":"x"}]}"#, "invalid_request", "list[1].size must be a whole number"),
        (#"{"name":"a","map":{"k":1}}"#, "invalid_request", "map.k must be a string"),
        (#"{"name":"a","nam":1}"#, "unknown_field", "The field nam is not known"),
        (#"{"name":"a","inner":{"size":1,"sise":2}}"#, "unknown_field", "The field inner.sise is not known"),
        (#"{"name":"a","list":[{"size":1,"x":2}]}"#, "unknown_field", "The field list[0].x is not known"),
    ])
    func `bad input names what is wrong and where`(text: String, code: String, part: String) {
        let error = #expect(throws: SandboxError.self) {
            _ = try StrictJSON.decode(Outer.self, from: Array(text.utf8))
        }
        #expect(error?.code.rawValue == code)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    @Test func `an unknown field's hint lists the known ones`() {
        let error = #expect(throws: SandboxError.self) {
            _ = try StrictJSON.decode(Inner.self, from: Array(#"{"sise":1}"#.utf8))
        }
        #expect(error?.hint == "known here: size")
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        let error = #expect(throws: SandboxError.self) {
            _ = try StrictJSON.decode(Outer.self, from: [0x22, 0xFF, 0x22])
        }
        #expect(error?.code == .invalidJSON)
    }

    @Test func `nesting is bounded`() {
        let error = #expect(throws: SandboxError.self) {
            _ = try StrictJSON.decode([String].self, from: Array(repeating: UInt8(ascii: "["), count: 1_000_000))
        }
        #expect(error?.code == .invalidJSON)
        #expect(error?.message.contains("nested") == true)
    }

    @Test func `no truncation of a document crashes or decodes`() {
        let text = Array(#"{"name":"a\u00e9","flag":true,"ratio":1.5e3,"list":[{"size":1}],"map":{"k":"v"}}"#.utf8)
        for count in 0..<text.count {
            #expect(throws: SandboxError.self) { _ = try StrictJSON.decode(Outer.self, from: Array(text[..<count])) }
        }
    }

    @Test func `no changed byte crashes the parser`() {
        let text = Array(#"{"name":"a\u00e9","flag":true,"ratio":1.5e3,"list":[{"size":1}]}"#.utf8)
        var refused = 0
        for index in text.indices {
            for byte: UInt8 in [0, 0x22, 0x5C, 0x7B, 0x5D, 0x80, 0xFF] {
                var changed = text
                changed[index] = byte
                if (try? StrictJSON.decode(Outer.self, from: changed)) == nil { refused += 1 }
            }
        }
        #expect(refused > text.count)
    }
}
