#!/usr/bin/env perl
# A toy of the kernel's scripts/checkpatch.pl: its options, its lines, four of its rules.
use strict;
use warnings;

my ($file) = grep { !/^-/ } @ARGV;
my %option = map { $_ => 1 } grep { /^-/ } @ARGV;
die "the toy knows --terse --show-types --showfile only\n"
	unless $option{'--terse'} && $option{'--show-types'} && $option{'--showfile'};

my ($name, $line, $is_signed, $found) = ('', 0, 0, 0);
sub report {
	my ($level, $type, $text, $is_placed) = @_;
	print $is_placed ? "$name:$line: " : '', "$level:$type: $text\n";
	$found = 1;
}

open(my $patch, '<', $file) or die "$file: $!\n";
while (<$patch>) {
	chomp;
	$is_signed = 1 if /^Signed-off-by: /;
	if (m{^\+\+\+ b/(\S+)}) { $name = $1; next; }
	if (/^\@\@ -\d+(?:,\d+)? \+(\d+)/) { $line = $1 - 1; next; }
	next if $name eq '' || /^-/;
	$line++;
	next unless /^\+/;
	die "the toy gives up\n" if /GIVE_UP/;
	report('ERROR', 'TRAILING_WHITESPACE', 'trailing whitespace', 1) if /\s$/;
	report('WARNING', 'LONG_LINE', 'line length exceeds 100 columns', 1) if length($_) > 101;
	report('CHECK', 'SPACING', "spaces preferred around that '+'", 1)
		if $option{'--strict'} && /\w\+\w/;
}
report('ERROR', 'MISSING_SIGN_OFF', 'Missing Signed-off-by: line(s)', 0) unless $is_signed;
exit($found);
