-- Puts the first namespace ARGV[5] into a cluster's list of them, KEYS[2], and notes the time in KEYS[3].
call('ZADD', KEYS[2], 0, ARGV[5])
call('ZADD', KEYS[3], call('TIME')[1], ARGV[5])
return 1
