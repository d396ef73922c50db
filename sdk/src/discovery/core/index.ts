export {
	createMembership,
	MEMBERSHIP_DEFAULTS,
	type MemberPhase,
	type Membership,
	type MembershipConfig,
	type MembershipEffect,
	type MembershipInput,
	type MemberView,
	type RemovalCause,
} from './membership.ts';
export { beats, supersedes } from './precedence.ts';
