# What failed tests recorded, from the logs of `swift test`: each test with its issues and the details below them, so
# that the end of a run says why. Bounded: `each` lines of a test, `all` lines together, 400 characters of a line.

# Every event of a test begins with a symbol; whatever does not belongs to the event before it.
function starts_event(line) { return line ~ /^(◇|✔|✘|⚠|➜|↻)/ }

function note(test, line) {
  if (!(test in count)) { order[++tests] = test; count[test] = 0 }
  if (++count[test] <= each) text[test, count[test]] = substr(line, 1, 400)
}

FNR == 1 { open = "" }

/^✘ Test .* recorded an issue / {
  open = $0
  sub(/^✘ Test /, "", open)
  sub(/ recorded an issue .*/, "", open)
  note(open, $0)
  next
}

# A crash or an end from outside leaves no issue.
/^(.*: )?Fatal error: / || /^error: (Exited|Process)/ || /^\*\*\* .*[Cc]rashed/ || /^Terminated/ {
  open = ""
  note("(the run itself)", $0)
  next
}

starts_event($0) { open = ""; next }

open != "" && NF { note(open, "  " $0) }

END {
  for (t = 1; t <= tests; t++) {
    test = order[t]
    shown = count[test] < each ? count[test] : each
    if (printed + shown > all) { hidden = tests - t + 1; break }
    for (l = 1; l <= shown; l++) print text[test, l]
    printed += shown
    if (count[test] > shown) printf "  ... and %d more lines\n", count[test] - shown
  }
  if (hidden) printf "... and %d more failed tests; see the logs in out/\n", hidden
}
